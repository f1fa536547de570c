"""What pydantic found, in words that say what to do: the field's path, what it must be, and the nearest known name.

Manifests, admin requests and settings are all checked by pydantic, so this is the one place where its errors become text.
The caller's values are quoted only where that helps, cut and made printable; secrets never pass through here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Final, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from penstock_adapters.protocol.errors import quote

Loc = tuple[str | int, ...]

NAME_WORDS: Final = "letters, digits, '.', '_' and '-', starting with a letter or digit"
PATTERN_WORDS: Final[Mapping[str, str]] = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$": f"must be a name: {NAME_WORDS}, at most 128",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": f"must be a version or alias: {NAME_WORDS}, at most 64",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(@[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$": (
        "must be model, model@version or model@alias"
    ),
    r"^[a-z][a-z0-9_-]{0,31}$": "must be a platform, such as onnxruntime or triton",
    r"^([0-9a-f]{64})?$": "must be a SHA-256: 64 hexadecimal digits in lower case",
    r"^(header/[a-z0-9-]{1,64}|parameter/[A-Za-z0-9_.-]{1,128})$": (
        "must be header/NAME or parameter/NAME, such as header/x-user"
    ),
}
"""Each pattern of kinds.py, said in words."""


class FieldProblem(NamedTuple):
    """One thing that is wrong: where (path inside the document) and what to do."""

    loc: Loc
    text: str

    @property
    def path(self) -> str:
        return path_text(self.loc)

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.loc else self.text


def path_text(loc: Loc) -> str:
    """("spec", "targets", 0, "to") -> "spec.targets[0].to"; a key that is no word is quoted."""
    parts: list[str] = []
    for item in loc:
        if isinstance(item, int):
            parts.append(f"[{item}]")
        elif re.fullmatch(r"[A-Za-z0-9_-]+", item):
            parts.append(f".{item}" if parts else item)
        else:
            parts.append(f"['{quote(item)}']")
    return "".join(parts)


def explain(error: ValidationError, model: type[BaseModel], prefix: Loc = ()) -> list[FieldProblem]:
    """Every problem of a validation, each field once, in document order."""
    found: dict[Loc, str] = {}
    items = error.errors(include_url=False)
    for item in items:
        if item["type"] == "too_short" and any(_inside(other["loc"], item["loc"]) for other in items):
            continue  # entries that are wrong do not count; they are reported themselves
        loc, names = _walk(model, item["loc"])
        text = _text(item["type"], item.get("ctx", {}), item.get("input"), names, item["loc"])
        # A union reports once per alternative; one line per field is enough.
        known = found.get((*prefix, *loc))
        found[*prefix, *loc] = text if known is None or known == text else "must be text, a number, true or false"
    return [FieldProblem(loc, text) for loc, text in found.items()]


def nearest(name: str, known: Iterable[str]) -> str:
    """The text that ends an unknown-name error: the nearest known name, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.6)
    if close:
        return f"did you mean '{next(n for n in names if n.lower() == close[0])}'?"
    if not names:
        return "no fields are known here"
    return f"known: {', '.join(names)}"


def kind_of(value: object) -> str:
    """What a JSON or YAML value is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, Sequence) else "something else"


def _inside(loc: Loc, parent: Loc) -> bool:
    return len(loc) > len(parent) and loc[: len(parent)] == parent


def _walk(model: type[BaseModel], loc: Loc) -> tuple[Loc, list[str]]:
    """The location without pydantic's own entries for union members, and the field names known at its parent."""
    kept: list[str | int] = []
    names: list[str] = []
    here: object = model
    for item in loc:
        here = _bare(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in here.model_fields.items()}
            names = list(fields)
            kept.append(item)
            here = fields.get(str(item))
        elif get_origin(here) in {tuple, list, dict}:
            if item == "[key]":
                continue
            kept.append(item)
            here = next((arg for arg in reversed(get_args(here)) if arg is not Ellipsis), None)
            names = []
        elif get_origin(here) in {Union, UnionType}:
            here = None  # the entry names a member of the union, which is not part of the document
        else:
            break
    return tuple(kept), names


def _bare(annotation: object) -> object:
    """The annotation without Annotated and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        members = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation


def _text(kind: str, ctx: Mapping[str, object], value: object, names: list[str], loc: Loc) -> str:
    if kind == "extra_forbidden":
        return f"unknown field; {nearest(str(loc[-1]), names)}"
    if kind == "missing":
        return "is missing; this field is required"
    if kind == "string_pattern_mismatch":
        return f"{PATTERN_WORDS.get(str(ctx['pattern']), 'has the wrong form')}; not '{quote(value)}'"
    if kind == "literal_error":
        choices = [word.strip("'") for word in re.findall(r"'[^']*'", str(ctx["expected"]))]
        return f"must be one of {', '.join(choices)}; {_or_not(value, choices)}"
    if kind == "string_type" and isinstance(value, int | float):
        return f'must be text: put it in quotes, "{quote(str(value).lower() if isinstance(value, bool) else value)}"'
    bound = _BOUNDS.get(kind)
    if bound is not None:
        return bound(ctx)
    expected = _EXPECTED.get(kind)
    if expected is not None:
        return f"must be {expected}, not {kind_of(value)}"
    # Our own validators' words (value_error), and pydantic's for what is left.
    return str(ctx.get("error", "")) or "is not a valid value"


def _or_not(value: object, choices: list[str]) -> str:
    if isinstance(value, str):
        close = difflib.get_close_matches(value.lower(), [choice.lower() for choice in choices], n=1, cutoff=0.6)
        if close:
            return f"did you mean '{next(choice for choice in choices if choice.lower() == close[0])}'?"
    return f"not '{quote(value)}'" if isinstance(value, str) else f"not {kind_of(value)}"


def _number(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


_BOUNDS: Final[Mapping[str, Callable[[Mapping[str, object]], str]]] = {
    "greater_than": lambda ctx: f"must be greater than {_number(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"must be at least {_number(ctx['ge'])}",
    "less_than": lambda ctx: f"must be less than {_number(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"must be at most {_number(ctx['le'])}",
    "string_too_short": lambda ctx: f"must have at least {ctx['min_length']} characters",
    "string_too_long": lambda ctx: f"must have at most {ctx['max_length']} characters",
    "too_short": lambda ctx: (
        f"must have at least {ctx['min_length']} {'entry' if ctx['min_length'] == 1 else 'entries'}"
    ),
    "too_long": lambda ctx: f"must have at most {ctx['max_length']} entries",
}
_MAPPING, _LIST, _WHOLE, _NUMBER, _FLAG = "a mapping", "a list", "a whole number", "a number", "true or false"
_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number without fraction",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "path_type": "a path",
}
