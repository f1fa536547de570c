"""Where the sources raise an error, read with ast: class, reason word, the fields given."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache

from penstock_adapters.protocol.errors import PenstockError
from tests.support.tidy import File, files

CLASSES = {kind.__name__: kind for kind in PenstockError.__subclasses__()}


@dataclass(frozen=True)
class Raised:
    """One construction of an error with a constant reason. `complete` is False where fields come as **mapping."""

    path: str
    line: int
    kind: str
    reason: str
    fields: frozenset[str]
    complete: bool


@cache
def raised() -> tuple[Raised, ...]:
    """Every place in the four packages, by path and line."""
    return tuple(use for file in files() if file.is_source for use in uses(file))


def uses(file: File) -> list[Raised]:
    """The places in one file: `NotFound("word", field=…)`, also as `errors.NotFound(…)`."""
    found = []
    for node in file.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0] if node.args else None
        if name in CLASSES and isinstance(first, ast.Constant) and isinstance(first.value, str):
            fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
            complete = all(keyword.arg for keyword in node.keywords)
            found.append(Raised(file.path, node.lineno, name, first.value, fields, complete))
    return found
