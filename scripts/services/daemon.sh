# Sourced by the scripts of this folder: the life of one server that a test starts.
#
# Each server has a folder of its own under $SERVICES_DIR (default ~/.cache/server-monitoring). What is downloaded stays there;
# what a server writes goes into its folder `run`, which `stop` removes.
services_dir=${SERVICES_DIR:-$HOME/.cache/server-monitoring}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/packages.sh
source "$here/../packages.sh"

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# lock FOLDER: one start or stop at a time; what comes second finds what the first one did.
lock() {
  mkdir -p "$1"
  exec 9>"$1/lock"
  flock --timeout 900 9 || fail "$1/lock is held by another run"
}

# A process id alone may be another process by now; with its start time (in clock ticks, field 22 of its stat) it cannot be.
started_at() { local stat; stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; set -- ${stat##*)}; [[ $1 != Z ]] && echo "${20}"; }

# running PIDFILE
running() {
  local pid start
  [[ -f $1 ]] && read -r pid start <"$1" && [[ $(started_at "$pid") == "$start" ]]
}

# launch PIDFILE LOG COMMAND…: in a session of its own, so that a Ctrl-C meant for a test does not reach it.
launch() {
  local pid_file=$1 log=$2
  shift 2
  setsid "$@" >"$log" 2>&1 </dev/null 9>&- &
  echo "$! $(started_at $!)" >"$pid_file"
  disown
}

# await PIDFILE LOG SECONDS CHECK…: until the check succeeds; its server's last words if it ends first or takes too long.
await() {
  local pid_file=$1 log=$2 deadline=$((SECONDS + $3))
  shift 3
  until "$@" >/dev/null 2>&1; do
    running "$pid_file" || { tail -n 15 "$log" >&2; fail "the server ended while starting"; }
    ((SECONDS < deadline)) || { tail -n 15 "$log" >&2; fail "the server is not ready in time"; }
    sleep 0.1
  done
}

# end PIDFILE SIGNAL SECONDS: returns when the process is gone; killed if it takes longer.
end() {
  local pid deadline=$((SECONDS + $3))
  if running "$1"; then
    read -r pid _ <"$1"
    # a stopped process takes no TERM
    kill "-$2" "$pid" && kill -CONT "$pid" 2>/dev/null || true
    while running "$1"; do
      ((SECONDS < deadline)) || { kill -KILL "$pid" 2>/dev/null || true; deadline=$((SECONDS + 30)); }
      sleep 0.1
    done
  fi
  rm -f "$1"
}

# require_port_free PORT: a clear word before a server fails on it in its own.
require_port_free() {
  ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || fail "port $1 is in use by something else; name another one"
}
