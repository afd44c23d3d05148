#!/usr/bin/env bash
# What the image mysql:8.4 does at its start, as far as docker-compose.backend.yml relies on it: at the first start it makes a
# database and a user from MYSQL_*, on a server without TCP; then it becomes the command.
set -euo pipefail
socket=/var/run/mysqld/mysqld.sock
data=/var/lib/mysql

if [[ $(id -u) == 0 ]]; then
  chown mysql:mysql "$data" "$(dirname "$socket")"
  exec setpriv --reuid=mysql --regid=mysql --clear-groups "$0" "$@"
fi

if [[ ! -d $data/mysql ]]; then
  "$@" --initialize-insecure
  "$@" --daemonize --skip-networking --socket="$socket"
  mysql --no-defaults --socket="$socket" --user=root <<SQL
CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';
GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO '$MYSQL_USER'@'%';
CREATE USER 'root'@'%' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
SQL
  # returns when the server is gone
  MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysqladmin --no-defaults --socket="$socket" --user=root shutdown
fi
exec "$@"
