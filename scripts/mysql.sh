#!/usr/bin/env bash
# A real MySQL server for tests, without Docker and without a package for this release of Debian:
# Debian's unstable suite carries one, unpacked into a folder of its own. Needs root and debootstrap.
#
#   mysql.sh install          make the folder (once; ~30 s, ~640 MB)
#   mysql.sh start DIR        start a fresh server on a free loopback port; its files go to DIR,
#                             DIR/env says how to reach it, DIR/pid is its process
#   mysql.sh pause DIR        stop it, and keep its data
#   mysql.sh resume DIR       start it again, where it was
#   mysql.sh stop DIR         stop it and remove its data
#   mysql.sh version DIR      say which version it is
#
# DataJoint targets MySQL 8.4 LTS. Debian's suites carry one version each, and none of them 8.4; a
# mirror or suite that has it is named by RNN_MYSQL_MIRROR and RNN_MYSQL_SUITE. A mysqld on the PATH
# and the image mysql:8.4 in Docker are what the tests take without this script (tests/servers.py).
# RNN_MYSQL_OPTIONS: more options of mysqld.
set -euo pipefail

root=${RNN_MYSQL_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/rnn-pipeline/mysql-root}

install_server() {
  [ -x "$root/usr/sbin/mysqld" ] && return 0
  if ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq debootstrap >/dev/null
  fi
  local mirror
  # The machine's own mirror of the main archive.
  mirror=${RNN_MYSQL_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -v security |
    head -n 1)}
  [ -n "$mirror" ] || { apt-get update -qq
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1); }
  mkdir -p "$(dirname "$root")"
  local building
  building=$(mktemp -d "$(dirname "$root")/building.XXXXXX")
  debootstrap --variant=minbase --include=mysql-server-core,mysql-client-core "${RNN_MYSQL_SUITE:-sid}" \
    "$building" "$mirror" >"$building.log" 2>&1 || { tail -n 20 "$building.log" >&2; exit 1; }
  mkdir -p "$building/var/lib/mysql-files" "$building/var/lib/servers"
  # Whole, or not at all.
  mv -T "$building" "$root"
  rm -f "$building.log"
}

start_server() {
  local dir=$1 name port
  install_server
  mkdir -p "$dir" "$root/var/lib/servers" "$root/var/lib/mysql-files"
  name=/var/lib/servers/$(basename "$(mktemp -d "$root/var/lib/servers/XXXXXX")")
  echo "$root$name" >"$dir/data"
  rmdir "$root$name"
  chroot "$root" mysqld --no-defaults --initialize-insecure --user=root --datadir="$name" \
    >"$dir/log" 2>&1
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  echo "$port" >"$dir/port"
  run_server "$dir"
  local password
  password=$(python3 -c 'import secrets; print(secrets.token_hex(12))')
  for _ in $(seq 120); do
    if chroot "$root" mysql --no-defaults --user=root --socket="$name/mysql.sock" 2>/dev/null <<SQL
CREATE USER IF NOT EXISTS 'rnn'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON *.* TO 'rnn'@'%' WITH GRANT OPTION;
SQL
    then
      cat >"$dir/env" <<ENV
export RNN_TEST_MYSQL_HOST=127.0.0.1
export RNN_TEST_MYSQL_PORT=$port
export RNN_TEST_MYSQL_USER=rnn
export RNN_TEST_MYSQL_PASSWORD=$password
ENV
      return 0
    fi
    kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
    sleep 0.5
  done
  echo "error: MySQL did not start:" >&2
  tail -n 20 "$dir/log" >&2
  exit 1
}

run_server() {
  local dir=$1 name
  name=$(cat "$dir/data")
  name=${name#"$root"}
  # shellcheck disable=SC2086
  chroot "$root" mysqld --no-defaults --user=root --datadir="$name" --port="$(cat "$dir/port")" \
    --bind-address=127.0.0.1 --mysqlx=OFF --secure-file-priv= --socket="$name/mysql.sock" \
    ${RNN_MYSQL_OPTIONS:-} \
    >>"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
}

pause_server() {
  local dir=$1 pid
  pid=$(cat "$dir/pid" 2>/dev/null || true)
  if [ -n "$pid" ] && kill "$pid" 2>/dev/null; then
    for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
  fi
}

stop_server() {
  local dir=$1
  pause_server "$dir"
  case "$(cat "$dir/data" 2>/dev/null || true)" in
    "$root"/var/lib/servers/?*) rm -rf "$(cat "$dir/data")" ;;
  esac
}

# By the server itself, whatever was meant to run.
say_version() {
  local version
  # shellcheck disable=SC1091
  version=$(. "$1/env" && MYSQL_PWD=$RNN_TEST_MYSQL_PASSWORD chroot "$root" mysql --no-defaults \
    --host="$RNN_TEST_MYSQL_HOST" --port="$RNN_TEST_MYSQL_PORT" --user="$RNN_TEST_MYSQL_USER" \
    --batch --skip-column-names --execute "SELECT VERSION()" 2>/dev/null)
  case "$version" in
    8.4.*) echo "MySQL $version (LTS, which DataJoint targets)" ;;
    *) echo "MySQL $version; DataJoint targets 8.4 LTS" ;;
  esac
}

case "${1:-}" in
  install) install_server ;;
  start) start_server "$2" ;;
  pause) pause_server "$2" ;;
  resume) run_server "$2" ;;
  stop) stop_server "$2" ;;
  version) say_version "$2" ;;
  *) sed -n '2,18p' "$0" >&2; exit 2 ;;
esac
