"""YAML and JSON text -> plain values, each with the line it stands on.

Built on libyaml's events, never on its composer: the composer recurses in C, so a line of brackets ends the process.
Refused: duplicate keys (parsers disagree on which one counts), aliases (a page of them unfolds to gigabytes), tags
(they construct objects), nesting deeper than any manifest needs. A plain word is a number, a boolean or null only where
YAML 1.1 and 1.2 agree: `country: no`, `id: 010` and `id: 12e4567` are the texts they look like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec
import yaml

DEPTH_MAX: Final = 32
DOCUMENTS_MAX: Final = 200_000

_WORDS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_REAL: Final = re.compile(r"([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_NUMERIC: Final = frozenset("-+.0123456789")


class TextError(Exception):
    """The text cannot be read. `line` counts from 1."""

    def __init__(self, line: int, text: str) -> None:
        self.line = line
        self.text = text
        super().__init__(f"{line}: {text}")


class Marks(msgspec.Struct):
    """The line a value starts on, counted from 1, and the marks of its members (scalars: only their line)."""

    line: int
    members: dict[str | int, Marks | int]

    def line_of(self, loc: tuple[str | int, ...]) -> int:
        """The line of the value at `loc`, or of its nearest parent that exists."""
        here = self
        for item in loc:
            found = here.members.get(item)
            if found is None:
                return here.line
            if isinstance(found, int):
                return found
            here = found
        return here.line


class Document(msgspec.Struct, frozen=True):
    """One document of a file: dicts, lists and scalars, with the lines they came from."""

    value: object
    marks: Marks


def read_yaml(text: str) -> Iterator[Document]:
    """The documents of a YAML stream; empty ones are left out. Raises TextError at the first thing that is not YAML."""
    try:
        loader = yaml.CSafeLoader(text)
        yield from _documents(loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise TextError(mark.line + 1 if mark else 1, _yaml_words(error)) from None
    except yaml.reader.ReaderError as error:
        raise TextError(text.count("\n", 0, error.position) + 1, "this character is not allowed in YAML") from None


def read_json(text: str) -> object:
    """The value of a JSON text. Raises TextError."""
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise TextError(error.lineno, f"this is not JSON: {error.msg}") from None
    except ValueError:
        raise TextError(1, "a number is too long") from None
    except RecursionError:
        raise TextError(1, f"nested deeper than {DEPTH_MAX} levels") from None


def json_marks(text: str) -> Marks:
    """The lines of a JSON text's values, found by reading it as YAML, which JSON nearly is. Line 1 if that fails."""
    try:
        return next(read_yaml(text)).marks
    except (TextError, StopIteration):
        return Marks(1, {})


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        doubled = next(key for key in keys if keys.count(key) > 1)
        raise json.JSONDecodeError(f"the key {doubled!r} stands twice in one object", "", 0)
    return made


def _constant(word: str) -> object:
    raise json.JSONDecodeError(f"{word} is not a JSON number", "", 0)


class _Open:
    """A collection whose end has not been read yet."""

    __slots__ = ("key", "marks", "value")

    def __init__(self, line: int, value: dict[str, object] | list[object]) -> None:
        self.marks = Marks(line, {})
        self.value = value
        self.key: str | None = None


def _documents(loader: yaml.CSafeLoader) -> Iterator[Document]:
    stack: list[_Open] = []
    count = 0
    while True:
        event = loader.get_event()
        if event is None or isinstance(event, yaml.StreamEndEvent):
            return
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.ScalarEvent):
            value, marks = _scalar(event, line), line
            if not stack:
                if value is not None:
                    yield Document(value, Marks(line, {}))
                continue
            _add(stack[-1], value, marks)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            _check_collection(event, line, len(stack))
            stack.append(_Open(line, {} if isinstance(event, yaml.MappingStartEvent) else []))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            done = stack.pop()
            if stack:
                _add(stack[-1], done.value, done.marks)
            else:
                yield Document(done.value, done.marks)
        elif isinstance(event, yaml.AliasEvent):
            raise TextError(line, f"alias *{event.anchor}: aliases are not read here; write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            count += 1
            if count > DOCUMENTS_MAX:
                raise TextError(line, f"more than {DOCUMENTS_MAX} documents in one file; split it")


def _check_collection(event: yaml.CollectionStartEvent, line: int, depth: int) -> None:
    if event.tag is not None:
        raise TextError(line, f"tag {event.tag}: tags are not read here; remove it")
    if depth >= DEPTH_MAX:
        raise TextError(line, f"nested deeper than {DEPTH_MAX} levels")


def _add(parent: _Open, value: object, marks: Marks | int) -> None:
    line = marks if isinstance(marks, int) else marks.line
    if isinstance(parent.value, list):
        parent.marks.members[len(parent.value)] = marks
        parent.value.append(value)
    elif parent.key is None:
        if isinstance(value, dict | list):
            raise TextError(line, "a key must be text; quote a value that starts with '{' or '['")
        key = value if isinstance(value, str) else "null" if value is None else str(value)
        if key in parent.value:
            raise TextError(line, f"the key '{key}' stands twice in one mapping; remove one")
        parent.key = key
        parent.value[key] = None
        parent.marks.members[key] = line
    else:
        parent.value[parent.key] = value
        if not isinstance(marks, int):
            # The key's line, not the value's: it is where a reader looks for the field.
            known = parent.marks.members[parent.key]
            marks.line = known if isinstance(known, int) else known.line
            parent.marks.members[parent.key] = marks
        parent.key = None


def _scalar(event: yaml.ScalarEvent, line: int) -> object:
    if event.tag not in {None, "!"}:
        raise TextError(line, f"tag {event.tag}: tags are not read here; remove it and quote text")
    text: str = event.value
    if not event.implicit[0]:  # quoted, or a block of text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _NUMERIC:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _REAL.fullmatch(text):
            return float(text)
    return text


def _yaml_words(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if "\\t" in problem or "tab" in problem:
        return "this is not YAML: a tab; indent with spaces"
    return f"this is not YAML: {problem}" + (f" ({error.context})" if error.context else "")
