"""What commands print: aligned tables for people; JSON, YAML and names for programs. Never coloured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

_LINE_ENDS: Final = frozenset("\x85\u2028\u2029\ufeff")
Resource = Mapping[str, object]
Column = tuple[str, Callable[[Resource], str]]


class Format(StrEnum):
    """How `get` prints."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def line(text: str = "") -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")


def as_json(value: object) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: object) -> str:
    """A YAML document: members in their own order, lists of numbers or words on one line."""
    text = _dumped(value, readable=True)
    # Written as they are, these would be read back as line ends.
    return text if _LINE_ENDS.isdisjoint(text) else _dumped(value, readable=False)


def _dumped(value: object, *, readable: bool) -> str:
    import yaml  # noqa: PLC0415  # most commands never need it

    dumped: str = yaml.dump(
        value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=readable, width=120, default_flow_style=None
    )
    return dumped.removesuffix("\n").removesuffix("\n...")


def as_documents(values: Iterable[object]) -> str:
    """A YAML stream: one document each."""
    return "\n---\n".join(as_yaml(value) for value in values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned with spaces, three apart, nothing at the end of a line."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(cells[index]) for cells in lines) for index in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines
    )


def columns(kind: str, *, wide: bool) -> list[Column]:
    """The columns of a kind's table."""
    more: list[Column] = [*WIDE.get(kind, []), ("LABELS", _labels)] if wide else []
    return [("NAME", name), *COLUMNS[kind], ("REVISION", lambda r: str(r.get("revision", ""))), *more]


def name(resource: Resource) -> str:
    """metadata.name"""
    return text(resource, "metadata", "name")


def at(resource: Resource, *path: str) -> object:
    """The value at a path, None if it is not there."""
    here: object = resource
    for item in path:
        here = here.get(item) if isinstance(here, Mapping) else None
    return here


def text(resource: Resource, *path: str) -> str:
    """The value at a path as text, "" if it is not there."""
    value = at(resource, *path)
    return "" if value is None else str(value)


def entries(resource: Resource, *path: str) -> list[Resource]:
    """The mappings of the list at a path."""
    value = at(resource, *path)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def pairs(value: object) -> str:
    """{"a": 1, "b": 2} -> a=1,b=2; "-" if there is nothing."""
    return ",".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, Mapping) and value else "-"


def some(items: Sequence[str], most: int = 4) -> str:
    """The first few, and how many more."""
    rest = len(items) - most
    return ",".join(items[:most]) + (f",+{rest}" if rest > 0 else "") if items else "-"


def _labels(resource: Resource) -> str:
    return pairs(at(resource, "metadata", "labels"))


def _endpoints(resource: Resource) -> str:
    return some([text(e, "url") or text(e, "grpc") for e in entries(resource, "spec", "endpoints")], 2)


def _match(resource: Resource) -> str:
    match = at(resource, "spec", "match")
    if not isinstance(match, Mapping):
        return "everything"
    flat = {key: pairs(value) if isinstance(value, Mapping) else value for key, value in match.items()}
    return pairs(flat) if flat else "everything"


def _targets(resource: Resource) -> str:
    targets = entries(resource, "spec", "targets")
    total = sum(weight for weight in (target.get("weight", 1) for target in targets) if isinstance(weight, int))
    shares = []
    for target in targets:
        weight = target.get("weight", 1)
        share = 100 * weight / total if isinstance(weight, int) and total else 0.0
        shares.append(f"{text(target, 'to')} {share:.4g}%")
    return some([share.strip() for share in shares])


def _versions(resource: Resource) -> str:
    return some([text(version, "id") for version in entries(resource, "spec", "versions")])


def _frameworks(resource: Resource) -> str:
    found = dict.fromkeys(text(version, "framework") for version in entries(resource, "spec", "versions"))
    return some([framework for framework in found if framework])


def _or_dash(*path: str) -> Callable[[Resource], str]:
    return lambda resource: text(resource, *path) or "-"


COLUMNS: Final[Mapping[str, list[Column]]] = {
    "Backend": [("PLATFORM", _or_dash("spec", "platform")), ("ENDPOINTS", _endpoints)],
    "Model": [
        ("VERSIONS", _versions),
        ("ALIASES", lambda r: pairs(at(r, "spec", "aliases"))),
        ("OWNER", _or_dash("spec", "owner")),
    ],
    "Deployment": [
        ("MODEL", _or_dash("spec", "model")),
        ("BACKEND", _or_dash("spec", "backend")),
        ("STATE", _or_dash("status", "state")),
        ("REASON", _or_dash("status", "reason")),
    ],
    "Placement": [
        ("MATCH", _match),
        ("BACKEND", _or_dash("spec", "backend")),
        ("PRIORITY", lambda r: text(r, "spec", "priority") or "0"),
    ],
    "Route": [("TARGETS", _targets), ("STICKY", _or_dash("spec", "sticky", "by"))],
}
WIDE: Final[Mapping[str, list[Column]]] = {
    "Backend": [("IN-FLIGHT", lambda r: text(r, "spec", "limits", "maxInFlight") or "1024")],
    "Model": [("FRAMEWORK", _frameworks), ("DESCRIPTION", _or_dash("spec", "description"))],
    "Deployment": [
        ("WANTED", lambda r: text(r, "spec", "state") or "READY"),
        ("REMOTE", lambda r: pairs(at(r, "spec", "remote"))),
    ],
    "Route": [("TIMEOUT-MS", _or_dash("spec", "timeoutMs"))],
}
