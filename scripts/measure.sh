# Sourced by the measure scripts: release builds, and a Kafka and a MariaDB of the measurement's own, stopped at the end with all their data.
# MEASURE_DIR says where they write (default: a new folder in /tmp).

# As docker-compose.backend.yml sets it: the newest reports of all hosts stay in memory, and their pages are written once instead of often.
export MARIADB_OPTIONS=${MARIADB_OPTIONS:---innodb-buffer-pool-size=1G --innodb-log-file-size=1G}

# measure_with SERVICE…: starts them, exports where they are
measure_with() {
  local service
  scripts/install-tools test
  cargo build --locked --release --package consumer --package api-backend --package loadgen
  # where all clusters share them, not where this one writes
  [[ " $* " != *' kafka '* ]] || { KAFKA_JARS=$(scripts/services/kafka jars); export KAFKA_JARS; }
  SERVICES_DIR=$(mktemp -d ${MEASURE_DIR:+--tmpdir="$MEASURE_DIR"})
  export SERVICES_DIR
  started=()
  trap 'for service in "${started[@]}"; do scripts/services/$service stop; done; rm -rf "$SERVICES_DIR"' EXIT
  for service in "$@"; do
    started+=("$service")
    case $service in
      kafka) TEST_KAFKA_BOOTSTRAP_SERVER=$(scripts/services/kafka start 1 "${MEASURE_KAFKA_PORT:-18192}"); export TEST_KAFKA_BOOTSTRAP_SERVER ;;
      mariadb) TEST_MARIADB_URL=$(scripts/services/mariadb start "${MEASURE_MARIADB_PORT:-18407}"); export TEST_MARIADB_URL ;;
    esac
  done
}

# measure ARGUMENTS…: rows for docs/PERFORMANCE.md
measure() { cargo run --locked --quiet --release --package end-to-end --example measure -- "$@"; }
