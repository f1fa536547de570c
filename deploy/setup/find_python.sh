#!/usr/bin/env bash
# find_python.sh: print a Python that can run Penstock (3.11 or newer, able to make virtualenvs), best first.
# 3.11 and 3.12 with a shared libpython come first: Triton's Python backend needs one. Set PYTHON to choose yourself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Is it new enough (1), can it make a virtualenv (2), is it fit for Triton too (3)?
grade() {
  "$1" - <<'PY' 2>/dev/null || echo 0
import importlib.util, os, sys, sysconfig
if sys.version_info < (3, 11):
    print(0); raise SystemExit
if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
    print(1); raise SystemExit
name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
places = (sysconfig.get_config_var("LIBDIR"), f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/local/lib")
shared = any(place and os.path.isfile(os.path.join(place, name)) for place in places)
print(3 if shared and sys.version_info < (3, 13) else 2)
PY
}

best="" best_grade=0
for name in ${PYTHON:-python3.11 python3.12 python3 python3.13 python3.14}; do
  command -v "$name" >/dev/null || continue
  found=$(grade "$name")
  if [ "$found" -gt "$best_grade" ]; then best=$name best_grade=$found; fi
done
if [ "$best_grade" -eq 0 ]; then
  echo "[setup] Penstock needs Python 3.11 or newer, and ${PYTHON:-none on PATH} is not. On Debian 12 or later: apt-get install python3" >&2
  exit 1
fi
version=$("$best" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$best_grade" -eq 1 ]; then
  "$here/apt_install.sh" "Python $version cannot make a virtualenv yet" "python$version-venv" >&2
fi
if [ "$best_grade" -lt 3 ] && [ "$version" = 3.11 -o "$version" = 3.12 ]; then
  # Without it everything but Triton works, so this may fail.
  "$here/apt_install.sh" "Triton needs Python's shared library" "libpython$version" >&2 || true
fi
"$best" -c "import sys; print(sys.executable)"
