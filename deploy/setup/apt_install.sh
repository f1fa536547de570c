#!/usr/bin/env bash
# apt_install.sh WHY PACKAGE...: install Debian packages, as root or through sudo; or say what to install by hand.
set -euo pipefail
why=$1; shift
by_hand="$why. Install it yourself: apt-get install $*"
if ! command -v apt-get >/dev/null; then
  echo "[setup] $why, and this machine has no apt-get. Install what your system calls: $*" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  # -n: never stop to ask for a password in the middle of a build.
  if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
    echo "[setup] $by_hand (we are neither root nor allowed to use sudo without a password)" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
echo "[setup] $why; installing $* with apt"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >>"$log" 2>&1; }
install() { apt install -y --no-install-recommends "$@"; }
# The lists of a fresh machine are empty or old; a machine whose lists will do is not made to fetch them.
if ! install "$@" && ! { apt update && install "$@"; }; then
  tail -n 20 "$log" >&2
  echo "[setup] apt-get failed. $by_hand" >&2
  exit 1
fi
