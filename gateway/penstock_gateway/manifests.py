"""Manifest files -> resources. Everything wrong is reported at once, each line with file, line, field and what to do."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from penstock_gateway.explanations import FieldProblem, Loc
from penstock_gateway.manifest_resources import resource_from
from penstock_gateway.manifest_text import Marks, TextError, json_marks, read_json, read_yaml
from penstock_registry.kinds import Resource
from penstock_registry.snapshot import Key

STDIN: Final = "-"
FILE_MAX_BYTES: Final = 256 << 20
YAML_SUFFIXES: Final = (".yaml", ".yml")
_JSON_STARTS: Final = ("{\n", '{"', "[{", "[\n", "{ ", "[ ")
_LineOf = Callable[[Loc], int]
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Manifest(NamedTuple):
    """A resource and where it was written."""

    resource: Resource
    file: str
    line: int


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {f'{self.path}: ' if self.path else ''}{self.text}"


class ManifestError(Exception):
    """The manifests cannot be used. `problems` holds all that is wrong, in the order of the files and lines."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def read_manifests(sources: Sequence[str]) -> list[Manifest]:
    """The manifests of files, folders (their .yaml and .yml files, also in sub-folders) and "-" (standard input).

    A JSON file must be named itself: beside manifests lie requests and other JSON. Raises ManifestError.
    """
    reader = _Reader()
    for source in sources:
        reader.read(source)
    if reader.problems:
        raise ManifestError(reader.problems)
    return reader.manifests


class _Reader:
    def __init__(self) -> None:
        self.manifests: list[Manifest] = []
        self.problems: list[Problem] = []
        self._seen: dict[Key, Manifest] = {}
        self._digests: dict[Path, str] = {}

    def read(self, source: str) -> None:
        if source == STDIN:
            self._text("<stdin>", sys.stdin.read(FILE_MAX_BYTES), Path())
            return
        path = Path(source)
        if not path.is_dir():
            self._file(path)
            return
        found = [file for file in sorted(path.rglob("*")) if file.suffix in YAML_SUFFIXES and not _hidden(file, path)]
        if not found:
            self.problems.append(Problem(source, 1, "", "this folder holds no .yaml or .yml file"))
        for file in found:
            self._file(file)

    def _file(self, path: Path) -> None:
        name = str(path)
        try:
            if path.stat().st_size > FILE_MAX_BYTES:
                self.problems.append(Problem(name, 1, "", f"larger than {FILE_MAX_BYTES} bytes; split it"))
                return
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            self.problems.append(Problem(name, 1, "", "this is not UTF-8 text"))
        except OSError as error:
            self.problems.append(Problem(name, 1, "", f"cannot be read: {error.strerror}"))
        else:
            self._text(name, text, path.parent)

    def _text(self, file: str, text: str, folder: Path) -> None:
        before = len(self.manifests) + len(self.problems)
        # Written by a program: read as JSON. Everything else is YAML, of which JSON is nearly a part.
        is_json = file.endswith(".json") or (file == "<stdin>" and text.lstrip()[:2] in _JSON_STARTS)
        try:
            for value, line_of in _json_documents(text) if is_json else _yaml_documents(text):
                self._document(value, file, line_of, folder)
        except TextError as error:
            self.problems.append(Problem(file, error.line, "", error.text))
        if len(self.manifests) + len(self.problems) == before:
            self.problems.append(Problem(file, 1, "", "there is no manifest in it"))

    def _document(self, value: object, file: str, line_of: _LineOf, folder: Path) -> None:
        found: list[FieldProblem] = []
        made = resource_from(self._with_artifacts(value, folder, found))
        if isinstance(made, list):
            found = made + found
        placed = [Problem(file, line_of(problem.loc), problem.path, problem.text) for problem in found]
        self.problems.extend(sorted(placed, key=lambda problem: problem.line))
        if found or not isinstance(made, Resource):
            return
        manifest = Manifest(made, file, line_of(()))
        first = self._seen.setdefault(made.key, manifest)
        if first is manifest:
            self.manifests.append(manifest)
            return
        text = f"{made.kind} '{made.metadata.name}' is already defined at {first.file}:{first.line}; remove one"
        self.problems.append(Problem(file, line_of(("metadata", "name")), "metadata.name", text))

    def _with_artifacts(self, document: object, folder: Path, found: list[FieldProblem]) -> object:
        """Paths become absolute file: URIs with their digest, so that the manifest means the same from any folder.

        Before validation, because a path is no artifact; so nothing can be taken for granted about the document.
        """
        if not isinstance(document, dict) or document.get("kind") != "Model":
            return document
        spec = document.get("spec")
        versions = spec.get("versions") if isinstance(spec, dict) else None
        if not isinstance(spec, dict) or not isinstance(versions, list):
            return document
        made = [self._with_artifact(version, folder, index, found) for index, version in enumerate(versions)]
        return {**document, "spec": {**spec, "versions": made}}

    def _with_artifact(self, version: object, folder: Path, index: int, found: list[FieldProblem]) -> object:
        written = _path(version.get("artifact")) if isinstance(version, dict) else ""
        if not isinstance(version, dict) or not written:
            return version
        loc: Loc = ("spec", "versions", index, "artifact")
        path = Path(folder, written).resolve()
        digest = self._digest(path, written, loc, found)
        if not digest:
            # The path is the problem; that it is no URI either would only confuse.
            return {name: value for name, value in version.items() if name not in {"artifact", "sha256"}}
        if version.get("sha256", digest) != digest:
            text = f"does not match: {written} has {digest}; remove this field to take the file as it is"
            found.append(FieldProblem((*loc[:3], "sha256"), text))
        return {**version, "artifact": f"file://{path}", "sha256": digest}

    def _digest(self, path: Path, written: str, loc: Loc, found: list[FieldProblem]) -> str:
        if path not in self._digests:
            try:
                with path.open("rb") as stream:
                    self._digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
            except IsADirectoryError:
                found.append(FieldProblem(loc, f"{written} is a folder; name the model file in it"))
                return ""
            except OSError as error:
                text = f"{written} cannot be read: {error.strerror}; a path is relative to the manifest's folder"
                found.append(FieldProblem(loc, text))
                return ""
        return self._digests[path]


def _yaml_documents(text: str) -> Iterator[tuple[object, _LineOf]]:
    for document in read_yaml(text):
        if isinstance(document.value, list):
            for index, value in enumerate(document.value):
                yield value, partial(_line_in, document.marks, (index,))
        else:
            yield document.value, document.marks.line_of


def _json_documents(text: str) -> Iterator[tuple[object, _LineOf]]:
    value = read_json(text)
    marks: list[Marks] = []

    def line_of(prefix: Loc, loc: Loc) -> int:
        # Found by a second reading, once, and only if something has to be said about a line.
        if not marks:
            marks.append(json_marks(text))
        return marks[0].line_of((*prefix, *loc))

    if isinstance(value, list):
        for index, item in enumerate(value):
            yield item, partial(line_of, (index,))
    else:
        yield value, partial(line_of, ())


def _line_in(marks: Marks, prefix: Loc, loc: Loc) -> int:
    return marks.line_of((*prefix, *loc))


def _path(artifact: object) -> str:
    """The path that an artifact is, `models/a.onnx` or `file:models/a.onnx`; "" if it is a whole URI, or nothing."""
    if not isinstance(artifact, str):
        return ""
    if artifact.startswith("file:") and not artifact.startswith("file:/"):
        return artifact.removeprefix("file:")
    return "" if _SCHEME.match(artifact) else artifact


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
