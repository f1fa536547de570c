"""The house rules that ast can check: each rule takes one parsed file and yields what breaks it, as line and text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "adapters": "penstock_adapters",
    "gateway": "penstock_gateway",
    "registry": "penstock_registry",
    "router": "penstock_router",
}
TREES = (*PACKAGES, "deploy", "docs", "tests")

FILE_LINES = 400
FUNCTION_LINES = 60
POSITIONAL = 5
ENVIRONMENT = "gateway/penstock_gateway/settings.py"
SILENCED = "adapters/penstock_adapters/onnx_library.py"
EDGES = ("gateway/penstock_gateway/rest.py", "gateway/penstock_gateway/grpc_server.py")
"""Where an unknown exception becomes an answer. Nowhere else does anybody know what to do with one."""
ANY_ALLOWED = "adapters/penstock_adapters/protocol/"
VAGUE = frozenset({"utils", "util", "common", "core", "helpers", "helper", "misc"})
UNSAFE_MODULES = frozenset({"pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle", "joblib"})
UNSAFE_CALLS = frozenset({"eval", "exec", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "os.system", "os.popen"})
SUPPRESSION = re.compile(r"#\s*(type:\s*ignore|noqa|pylint:|mypy:|ruff:\s*noqa|pragma:\s*no cover)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\)|:? ?#\d+)")

Found = Iterator[tuple[int, str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class File:
    """One Python file. `path` is relative to the project, with forward slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def is_source(self) -> bool:
        """Is it part of one of the four packages?"""
        return any(self.path.startswith(f"{folder}/{package}/") for folder, package in PACKAGES.items())

    @property
    def has_code(self) -> bool:
        """Does it define anything, or is it an `__init__.py` that only says what the package is?"""
        return any(isinstance(node, Function | ast.ClassDef) for node in self.tree.body)


def files() -> list[File]:
    """Every Python file of the project."""
    paths = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py") if "__pycache__" not in path.parts)
    return [File(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def short_files(file: File) -> Found:
    """A file has at most 400 lines."""
    if len(file.lines) > FILE_LINES:
        yield len(file.lines), f"{len(file.lines)} lines are more than {FILE_LINES}: cut it where two rules meet"


def short_functions(file: File) -> Found:
    """A function has at most 60 lines, its decorators and docstring included."""
    for node in file.nodes:
        if isinstance(node, Function):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            length = (node.end_lineno or first) - first + 1
            if length > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines, more than {FUNCTION_LINES}"


def few_positional_parameters(file: File) -> Found:
    """A function takes at most 5 positional parameters; the rest stand behind a `*`."""
    for node in file.nodes:
        if isinstance(node, Function):
            named = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            count = len(named) - (1 if named[:1] in (["self"], ["cls"]) else 0)
            if count > POSITIONAL:
                yield node.lineno, f"{node.name} takes {count} positional parameters, more than {POSITIONAL}"


def environment_in_one_file(file: File) -> Found:
    """The environment is read in the settings and nowhere else; one file sets what a library reads when it is loaded."""
    if not file.is_source or file.path == ENVIRONMENT:
        return
    for node in file.nodes:
        name = _dotted(node)
        if name == "os.putenv" and file.path == SILENCED:
            continue
        if name in ("os.environ", "os.getenv", "os.environb", "os.putenv"):
            yield _line(node), f"{name}: only {ENVIRONMENT} reads the environment"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if alias.name in ("environ", "getenv", "environb"):
                    yield node.lineno, f"from os import {alias.name}: only {ENVIRONMENT} reads the environment"


def broad_except_only_at_the_edges(file: File) -> Found:
    """`except Exception` stands at the two edges only; a handler that ends in a bare `raise` only tidies up."""
    if not file.is_source or file.path in EDGES:
        return
    for node in file.nodes:
        if isinstance(node, ast.ExceptHandler) and not _reraises(node):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            for kind in kinds:
                name = "everything" if kind is None else _dotted(kind)
                if name in ("everything", "Exception", "BaseException"):
                    yield node.lineno, f"catches {name}: name what you can handle, let the rest reach the edge"


def no_any_in_signatures(file: File) -> Found:
    """Signatures outside the protocol say what they take and give."""
    if not file.is_source or file.path.startswith(ANY_ALLOWED):
        return
    for node in file.nodes:
        if isinstance(node, Function):
            everything = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            arguments = [*everything, *filter(None, (node.args.vararg, node.args.kwarg))]
            for annotation in (*(argument.annotation for argument in arguments), node.returns):
                if annotation is not None and any(_dotted(n) in ("Any", "typing.Any") for n in ast.walk(annotation)):
                    yield annotation.lineno, f"{node.name} has Any in its signature"


def nothing_unsafe(file: File) -> Found:
    """No code comes out of data, and no shell sees a string."""
    for node in file.nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                if module and module.partition(".")[0] in UNSAFE_MODULES:
                    yield node.lineno, f"imports {module}: unpickling runs what it reads"
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name in UNSAFE_CALLS:
                yield node.lineno, f"calls {name}"
            for keyword in node.keywords:
                if keyword.arg == "shell" and not _is_false(keyword.value):
                    yield node.lineno, "shell=True: pass a list"


def no_loose_ends(file: File) -> Found:
    """A note to finish something names the issue in which it will be."""
    for number, line in enumerate(file.lines, 1):
        if "#" in line and UNFINISHED.search(line.partition("#")[2]):
            yield number, "an unfinished note without an issue number"


def telling_names(file: File) -> Found:
    """A module is named for what is in it."""
    for part in PurePosixPath(file.path).with_suffix("").parts:
        if part in VAGUE:
            yield 1, f"'{part}' says nothing about what is inside"


def opening_words(file: File) -> Found:
    """A module says in its docstring what it is for, and leaves annotations unevaluated."""
    if not file.text.strip():
        return
    if file.is_source and ast.get_docstring(file.tree) is None:
        yield 1, "no docstring"
    imports = (node for node in file.tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__")
    if file.has_code and not any(alias.name == "annotations" for node in imports for alias in node.names):
        yield 1, "no `from __future__ import annotations`"


def no_global_statement(file: File) -> Found:
    """State is passed, not reached for."""
    for node in file.nodes:
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}"


RULES: tuple[Callable[[File], Found], ...] = (
    short_files,
    short_functions,
    few_positional_parameters,
    environment_in_one_file,
    broad_except_only_at_the_edges,
    no_any_in_signatures,
    nothing_unsafe,
    no_loose_ends,
    telling_names,
    opening_words,
    no_global_statement,
)


def suppressions(file: File) -> list[int]:
    """The lines on which a checker is told to look away."""
    return [number for number, line in enumerate(file.lines, 1) if SUPPRESSION.search(line)]


def mirror(path: str) -> str:
    """The test file of a source file: router/penstock_router/x.py -> tests/router/test_x.py, x/__init__.py likewise."""
    folder, _, *between, name = path.split("/")
    if name == "__init__.py" and between:
        name = f"{between.pop()}.py"
    return "/".join(["tests", folder, *between, f"test_{name}"])


def _dotted(node: ast.AST | None) -> str:
    """`a.b` for the expression a.b, "" for anything that is not a plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return f"{inner}.{node.attr}"
    return ""


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
