#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own, named by DIFFTEST_TEST_POSTGRES_URL.
#
# The server lives in a temporary folder, listens on loopback alone and is stopped with the
# command. Where no server programs are found, or where DIFFTEST_TEST_POSTGRES_URL already names a
# server, the command runs as it is; tests that miss PostgreSQL say so themselves.
set -euo pipefail

if [ -n "${DIFFTEST_TEST_POSTGRES_URL:-}" ]; then
  exec "$@"
fi

programs=""
for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) "$(dirname "$(command -v initdb || echo /nowhere/x)")"; do
  if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ]; then
    programs=$folder
    break
  fi
done
if [ -z "$programs" ]; then
  echo "with-postgres: no PostgreSQL server programs here; its tests will say that they were skipped" >&2
  exec "$@"
fi

data=$(mktemp -d "${TMPDIR:-/tmp}/difftest-postgres.XXXXXX")
as=()
if [ "$(id -u)" = 0 ]; then
  # PostgreSQL refuses to run as root.
  user=postgres
  id -u "$user" >/dev/null 2>&1 || user=nobody
  chown "$user" "$data"
  as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups)
fi

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
stop() {
  (cd "$data" && "${as[@]}" "$programs/pg_ctl" --pgdata "$data/db" --mode immediate stop >/dev/null 2>&1) || true
  rm -rf "$data"
}
trap stop EXIT

cd_back=$PWD
cd "$data"
"${as[@]}" "$programs/initdb" --pgdata "$data/db" --username difftest --auth trust --encoding UTF8 >/dev/null
"${as[@]}" "$programs/pg_ctl" --pgdata "$data/db" --wait --log "$data/log" \
  --options "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c max_connections=200" start >/dev/null
cd "$cd_back"

export DIFFTEST_TEST_POSTGRES_URL="postgres://difftest@127.0.0.1:$port/postgres"
"$@"
