#!/usr/bin/env bash
# install_servers.sh: make sure the PostgreSQL and Redis binaries the tests start are there. Does nothing if they are.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
missing=()
if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && ! command -v postgres >/dev/null; then
  # The package starts a cluster of its own on the usual port; the tests start theirs, so this one is not wanted.
  missing+=(postgresql postgresql-client)
fi
command -v redis-server >/dev/null || missing+=(redis-server)
[ ${#missing[@]} -eq 0 ] && exit 0
exec "$root/deploy/setup/apt_install.sh" "The tests start a real PostgreSQL and a real Redis" "${missing[@]}"
