"""The house rules hold in every file, and every rule sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import tidy
from tests.support.tidy import PACKAGES, ROOT, RULES, File, Found, mirror, suppressions

FILES = tidy.files()
SOURCES = [file for file in FILES if file.is_source]
SUPPRESSIONS_PER_1000 = 4
"""2.9 when this was written; half of them are late imports of the command line, which must start fast."""
SOURCE = "router/penstock_router/x.py"
MIGRATIONS = "registry/penstock_registry/migrations/"
"""Run by Alembic, and tested as a whole by the tests of the store."""


def listed(violations: list[str]) -> str:
    return f"{len(violations)} found:\n" + "\n".join(violations)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds_everywhere(rule: Callable[[File], Found]) -> None:
    violations = [f"{file.path}:{line}: {text}" for file in FILES for line, text in rule(file)]

    assert not violations, f"{rule.__doc__} {listed(violations)}"


def test_every_source_file_has_its_test_file() -> None:
    wanted = [
        (file.path, mirror(file.path))
        for file in SOURCES
        if not file.path.startswith(MIGRATIONS) and (file.has_code or not file.path.endswith("__init__.py"))
    ]

    missing = [f"{source}: {test} is missing" for source, test in wanted if not (ROOT / test).is_file()]

    assert not missing, listed(missing)


def test_every_test_file_has_its_source_file() -> None:
    known = {mirror(file.path) for file in SOURCES}
    mirrored = tuple(f"tests/{folder}/" for folder in PACKAGES)

    strays = [
        f"{file.path}: there is no source file of that name"
        for file in FILES
        if file.path.startswith(mirrored)
        and file.path.rpartition("/")[2].startswith("test_")
        and file.path not in known
    ]

    assert not strays, listed(strays)


def test_every_package_is_typed_and_complete() -> None:
    for folder, package in PACKAGES.items():
        assert (ROOT / folder / package / "py.typed").is_file(), package
    folders = {file.path.rpartition("/")[0] for file in SOURCES}
    missing = sorted(folder for folder in folders if not (ROOT / folder / "__init__.py").is_file())
    missing = [folder for folder in missing if not f"{folder}/".startswith(MIGRATIONS)]

    assert not missing, f"without __init__.py: {missing}"


def test_checkers_are_rarely_told_to_look_away() -> None:
    places = [f"{file.path}:{line}" for file in SOURCES for line in suppressions(file)]
    lines = sum(len(file.lines) for file in SOURCES)

    assert len(places) * 1000 <= SUPPRESSIONS_PER_1000 * lines, f"{len(places)} in {lines} lines: {listed(places)}"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (tidy.short_files, SOURCE, "x = 1\n" * 401),
        (tidy.short_functions, SOURCE, "def f():\n" + "    x = 1\n" * 60),
        (tidy.short_functions, SOURCE, "@a\nasync def f():\n" + "    x = 1\n" * 59),
        (tidy.few_positional_parameters, SOURCE, "def f(a, b, c, d, e, f): ..."),
        (tidy.few_positional_parameters, SOURCE, "class C:\n    def f(self, a, b, c, /, d, e, f): ..."),
        (tidy.environment_in_one_file, SOURCE, "import os\nos.environ['A']"),
        (tidy.environment_in_one_file, SOURCE, "import os\nos.getenv('A')"),
        (tidy.environment_in_one_file, SOURCE, "import os\nos.putenv('A', '1')"),
        (tidy.environment_in_one_file, tidy.SILENCED, "import os\nos.environ['A']"),
        (tidy.environment_in_one_file, SOURCE, "from os import environ"),
        (tidy.broad_except_only_at_the_edges, SOURCE, "try: ...\nexcept Exception: ..."),
        (tidy.broad_except_only_at_the_edges, SOURCE, "try: ...\nexcept (OSError, BaseException) as e: ..."),
        (tidy.broad_except_only_at_the_edges, SOURCE, "try: ...\nexcept: ..."),
        (tidy.broad_except_only_at_the_edges, SOURCE, "try: ...\nexcept Exception as e: raise KeyError from e"),
        (tidy.no_any_in_signatures, SOURCE, "def f(a: dict[str, Any]): ..."),
        (tidy.no_any_in_signatures, SOURCE, "def f(*a: typing.Any): ..."),
        (tidy.no_any_in_signatures, SOURCE, "async def f() -> list[Any]: ..."),
        (tidy.nothing_unsafe, "tests/test_x.py", "import pickle"),
        (tidy.nothing_unsafe, SOURCE, "from marshal import loads"),
        (tidy.nothing_unsafe, SOURCE, "eval('1')"),
        (tidy.nothing_unsafe, SOURCE, "yaml.load(text)"),
        (tidy.nothing_unsafe, SOURCE, "run('a', shell=True)"),
        (tidy.no_loose_ends, SOURCE, "x = 1  # TO" + "DO later"),
        (tidy.telling_names, "router/penstock_router/utils.py", "x = 1"),
        (tidy.telling_names, "router/penstock_router/common/x.py", "x = 1"),
        (tidy.opening_words, SOURCE, "from __future__ import annotations"),
        (tidy.opening_words, SOURCE, '"""Words."""\nimport os\ndef f(): ...'),
        (tidy.no_global_statement, SOURCE, "def f():\n    global x"),
    ],
)
def test_a_rule_sees_what_breaks_it(rule: Callable[[File], Found], path: str, text: str) -> None:
    assert len(list(rule(File(path, text)))) == 1


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (tidy.short_files, SOURCE, "x = 1\n" * 400),
        (tidy.short_functions, SOURCE, "def f():\n" + "    x = 1\n" * 59),
        (tidy.few_positional_parameters, SOURCE, "class C:\n    def f(self, a, b, c, d, e, *, f): ..."),
        (tidy.environment_in_one_file, tidy.ENVIRONMENT, "import os\nos.environ['A']"),
        (tidy.environment_in_one_file, tidy.SILENCED, "import os\nos.putenv('A', '1')"),
        (tidy.environment_in_one_file, "tests/x.py", "import os\nos.environ['A']"),
        (tidy.broad_except_only_at_the_edges, tidy.EDGES[0], "try: ...\nexcept Exception: ..."),
        (tidy.broad_except_only_at_the_edges, SOURCE, "try: ...\nexcept BaseException:\n    close()\n    raise"),
        (tidy.broad_except_only_at_the_edges, SOURCE, "try: ...\nexcept OSError: ..."),
        (tidy.no_any_in_signatures, tidy.ANY_ALLOWED + "x.py", "def f(a: Any): ..."),
        (tidy.no_any_in_signatures, SOURCE, "def f(a: Anything) -> None:\n    x: Any = 1"),
        (tidy.nothing_unsafe, SOURCE, "yaml.safe_load(text)\nrun(['a'], shell=False)\nmodel.eval()"),
        (tidy.no_loose_ends, SOURCE, "x = 1  # TO" + "DO(#12) later"),
        (tidy.telling_names, "router/penstock_router/corelation.py", "x = 1"),
        (tidy.opening_words, "router/penstock_router/__init__.py", '"""Words."""'),
        (tidy.opening_words, "tests/__init__.py", ""),
    ],
)
def test_a_rule_leaves_in_peace_what_keeps_it(rule: Callable[[File], Found], path: str, text: str) -> None:
    assert list(rule(File(path, text))) == []


def test_suppressions_are_counted_in_every_spelling() -> None:
    text = "a  # type: ignore[x]\nb  # noqa: E1\nc\nd  # pragma: no cover\n# ruff: noqa\n"

    assert suppressions(File(SOURCE, text)) == [1, 2, 4, 5]


def test_the_mirror_keeps_the_folders_between() -> None:
    assert mirror("adapters/penstock_adapters/protocol/x.py") == "tests/adapters/protocol/test_x.py"
    assert mirror("gateway/penstock_gateway/cli/w.py") == "tests/gateway/cli/test_w.py"
    assert mirror("router/penstock_router/y.py") == "tests/router/test_y.py"
    assert mirror("gateway/penstock_gateway/cli/__init__.py") == "tests/gateway/test_cli.py"
