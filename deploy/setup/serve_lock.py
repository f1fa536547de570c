"""Cut from the lock what serving alone needs: `make demo` then installs a third of the bytes in half of the time.

    python -m deploy.setup.serve_lock            write requirements-serve.lock
    python -m deploy.setup.serve_lock --check    end with status 1 if it is not current

Run it in the project's virtualenv after the lock has changed: who needs whom is read from the installed packages.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
WHOLE, PART = ROOT / "requirements.lock", ROOT / "requirements-serve.lock"
BUILD = ("hatchling", "editables")
"""They make the editable installation."""
PYTHONS = (("3.11", "3.11.0"), ("3.11", "3.11.9"), ("3.12", "3.12.9"), ("3.13", "3.13.9"), ("3.14", "3.14.0"))
NOTE = "# Written by deploy/setup/serve_lock.py from requirements.lock: what serving alone needs.\n"


def needed() -> set[str]:
    """The normalized names of everything that serving and its installation need, without extras of ours."""
    # From the project's own file: the metadata of an editable installation is as old as the installation.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [key(Requirement(line)) for line in (*project["dependencies"], *BUILD)]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in requirements(name):
            requirement = Requirement(line)
            if applies(requirement, extras):
                waiting.append(key(requirement))
    return {name for name, _ in seen}


def key(requirement: Requirement) -> tuple[str, frozenset[str]]:
    return normalized(requirement.name), frozenset(requirement.extras)


def requirements(name: str) -> list[str]:
    """What a package says it needs. One that is not installed, because another Python needs it, is taken to need nothing."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    """Is it needed on any Python we run on? The lock's own markers then decide for the one at hand."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({"extra": extra, "python_version": version, "python_full_version": full})
        for extra in (*extras, "")
        for version, full in PYTHONS
    )


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def part() -> str:
    """The text of requirements-serve.lock."""
    wanted = needed()
    entries = re.split(r"^(?=[A-Za-z0-9])", WHOLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = [(re.match(r"[A-Za-z0-9._-]+", entry), entry) for entry in entries]
    return NOTE + "".join(entry for match, entry in named if match and normalized(match[0]) in wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if the file is not current")
    text = part()
    if parser.parse_args().check:
        return 0 if PART.is_file() and PART.read_text(encoding="utf-8") == text else 1
    PART.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
