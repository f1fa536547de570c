#!/usr/bin/env bash
# The servers the tests start for themselves: PostgreSQL and Redis from the distribution. Does nothing if they are there.
set -euo pipefail

postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }
redis() { command -v redis-server >/dev/null; }

missing=()
postgres || missing+=(postgresql)
redis || missing+=(redis-server)
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "[servers] ${missing[*]} missing; install them, so that initdb and redis-server are found" >&2
  exit 1
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
echo "[servers] installing ${missing[*]}"
# The tests make their own clusters; the package need not make and start one.
"${as_root[@]}" mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Options::=--force-confold "${missing[@]}" >/dev/null
postgres && redis
