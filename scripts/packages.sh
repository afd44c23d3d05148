# Sourced by the scripts that need Debian packages.

# install_packages NAME…: installs those that are missing. A package that would start a service of its own is kept from it (only
# programs are wanted here), and nothing that is installed already is ever removed for it. On another system than Debian and its kin
# it can only say what is needed.
install_packages() {
  local missing=() name
  command -v apt-get >/dev/null || { echo "no apt-get here; needed is what Debian calls: $*" >&2; return 0; }
  for name in "$@"; do
    [[ $(dpkg-query --show --showformat='${Status}' "$name" 2>/dev/null) == 'install ok installed' ]] || missing+=("$name")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  [[ $EUID -eq 0 ]] || { echo "run as root, or install first: apt-get install ${missing[*]}" >&2; return 1; }
  echo "installing ${missing[*]}" >&2
  (
    # two scripts at once take turns: the second finds everything there
    exec 8>/run/lock/server-monitoring-packages
    flock 8
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod +x "$policy"
    fi
    log=$(mktemp)
    apt_get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    if ! { "${apt_get[@]}" update && "${apt_get[@]}" install -y --no-install-recommends --no-remove "${missing[@]}"; } </dev/null >"$log" 2>&1 8>&-; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      exit 1
    fi
    rm -f "$log"
  )
}
