# Sourced by scripts/test-compose: images under the names that the Dockerfile and the compose files use, made on this machine from
# Debian's packages and the real programs. Trees are made once and kept in $trees; images live as long as their engine.
#
# What belongs to this machine alone is taken over at run time: apt's sources, its certificate authorities, cargo's settings.
here_stand_ins=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# tree NAME COMMAND…: the folder of a tree that the command makes, unless it is there already.
tree() {
  local folder=$trees/$1
  shift
  [[ -f $folder.complete ]] || { "$@" "$folder" && touch "$folder.complete"; }
}

# How this machine reaches Debian and trusts others; without the files that hold credentials.
overlay_machine() { # FOLDER
  rm -rf "$1" && mkdir -p "$1"
  local path paths=()
  for path in etc/apt/{sources.list,sources.list.d,apt.conf.d,preferences.d,keyrings,trusted.gpg.d} etc/ssl/certs/ca-certificates.crt \
    usr/local/share/ca-certificates; do
    [[ ! -e /$path ]] || paths+=("$path")
  done
  tar -C / --dereference -c "${paths[@]}" | tar -C "$1" -x
  # instead of debootstrap's own
  touch "$1/etc/apt/sources.list"
}

# The toolchain of this machine where the image rust has its own; no documentation.
overlay_rust() { # FOLDER
  local sysroot target=$1/usr/local/cargo
  sysroot=$(rustc --print sysroot)
  rm -rf "$1" && mkdir -p "$target"/{bin,lib}
  cp --archive "$sysroot"/bin/{cargo,rustc} "$target/bin"
  cp --archive "$sysroot"/lib/{librustc_driver-*,libLLVM*,rustlib} "$target/lib"
  local settings
  for settings in "${CARGO_HOME:-$HOME/.cargo}"/config{,.toml}; do
    [[ ! -f $settings ]] || cp "$settings" "$target"
  done
}

# The Node.js of this machine where the image node has its own.
overlay_node() { # FOLDER
  local prefix target=$1/usr/local
  prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  rm -rf "$1" && mkdir -p "$target"/{bin,lib/node_modules}
  cp "$prefix/bin/node" "$target/bin"
  cp --archive "$(npm root --global)/npm" "$target/lib/node_modules"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$target/bin/npm"
}

# Cargo's settings of this machine that stand in its environment; tokens stay out.
cargo_environment() {
  env | sed -n 's/^\(CARGO_\(HTTP\|NET\|SOURCE\|REGISTRIES\|REGISTRY\)_[A-Z0-9_]*\|[a-zA-Z]*_proxy\|[A-Z]*_PROXY\|SSL_CERT_FILE\)=\(.*\)$/ENV \1="\3"/p' |
    grep -v '^ENV [A-Z_]*TOKEN' || true
}

overlay_kafka() { # FOLDER
  rm -rf "$1" && mkdir -p "$1"/{opt/kafka/{config,logs,libs},var/lib/kafka/data,mnt/shared/config}
  cp "$("$here_stand_ins/../services/kafka" jars)"/lib/*.jar "$1/opt/kafka/libs"
  cp --recursive "$here_stand_ins/kafka/." "$1"
  chown --recursive 1000:1000 "$1"/{opt/kafka,var/lib/kafka,mnt/shared/config,etc/kafka}
}

overlay_mysql() { # FOLDER
  rm -rf "$1" && mkdir -p "$1"
  cp --recursive "$here_stand_ins/mysql/." "$1"
  install -d -o 999 -g 999 -m 1777 "$1/var/lib/mysql" "$1/run/mysqld"
}

# import NAME "FOLDER…" CHANGES: later folders win. What the programs of a tree write while they run here is left out.
import() {
  local name=$1 folder merged=$trees/merged changes=() change
  rm -rf "$merged" && mkdir "$merged"
  for folder in $2; do cp --archive --link --remove-destination "$folder/." "$merged"; done
  while read -r change; do [[ -z $change ]] || changes+=(--change "$change"); done <<<"$3"
  tar -C "$merged" --numeric-owner --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' --exclude='./srv/*' -c . |
    docker import "${changes[@]}" - "$name" >/dev/null
  rm -rf "$merged"
}

make_images() {
  mkdir -p "$trees"
  tree bookworm make_debian_tree bookworm
  tree java make_java_tree
  overlay_machine "$trees/machine"
  overlay_rust "$trees/rust"
  overlay_node "$trees/node"
  overlay_kafka "$trees/kafka"
  overlay_mysql "$trees/mysql"
  import debian:bookworm-slim "$trees/bookworm $trees/machine" 'CMD ["bash"]'
  import rust:1.95-bookworm "$trees/bookworm $trees/machine $trees/rust" "ENV CARGO_HOME=/usr/local/cargo
    ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    $(cargo_environment)"
  import node:22-bookworm-slim "$trees/bookworm $trees/machine $trees/node" "ENV npm_config_registry=$(npm config get registry)
    ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
    ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
    $(cargo_environment | grep -v '^ENV CARGO_' || true)"
  import apache/kafka:4.3.1 "$trees/java $trees/kafka" 'USER 1000
    VOLUME ["/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"]
    CMD ["/etc/kafka/docker/run"]'
  import mysql:8.4 "$("$here_stand_ins/../services/mysql" root) $trees/mysql" 'VOLUME /var/lib/mysql
    ENTRYPOINT ["docker-entrypoint.sh"]
    CMD ["mysqld"]'
}

make_java_tree() { make_debian_tree bookworm "$1" openjdk-17-jre-headless; }
