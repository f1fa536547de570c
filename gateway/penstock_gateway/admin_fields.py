"""Two manifests -> the fields in which they differ. Pure; used by diff and by the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from penstock_gateway.explanations import Loc, path_text

FIELDS_MAX: Final = 200
"""Fields listed for one resource."""


def field_changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[dict[str, object]]:
    """The leaves that differ, in document order: path, before, after (None = not there)."""
    found: list[dict[str, object]] = []
    for loc, old, new in _differences((), before, after):
        if loc[0] in {"apiVersion", "kind"}:
            continue
        found.append({"path": path_text(loc), "before": old, "after": new})
        if len(found) == FIELDS_MAX:
            break
    return found


def _differences(loc: Loc, before: object, after: object) -> Iterator[tuple[Loc, object, object]]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences((*loc, str(key)), before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and before and after:
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            yield from _differences((*loc, index), old, new)
    else:
        yield loc, before, after
