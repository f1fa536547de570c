"""Tables are aligned for people; JSON, YAML and names are for programs."""

from __future__ import annotations

import pytest

from penstock_gateway.cli.options import KINDS as WORDS
from penstock_gateway.cli.output import COLUMNS, as_documents, columns, pairs, some, table
from penstock_registry.kinds import KINDS, Resource
from tests.support.resources import backend, deployment, resource, route


def cells(kind: str, made: Resource, **more: object) -> dict[str, str]:
    shown = {**made.manifest(), "revision": 3, **more}
    return {title: cell(shown) for title, cell in columns(kind, wide=True)}


def test_every_kind_has_its_columns() -> None:
    assert COLUMNS.keys() == set(KINDS)
    assert WORDS == KINDS


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_end() -> None:
    assert table(["A", "LONG"], [["xxxx", "1"], ["y", ""]]) == "A      LONG\nxxxx   1\ny"


@pytest.mark.parametrize(
    ("made", "more", "expected"),
    [
        (
            backend("b", "triton", ["http://a:1", "http://b:1", "http://c:1"]), {},
            {"NAME": "b", "PLATFORM": "triton", "ENDPOINTS": "http://a:1,http://b:1,+1", "REVISION": "3", "IN-FLIGHT": "1024", "LABELS": "-"},
        ),
        (
            resource("Model", "m", {"owner": "me", "versions": [{"id": "1", "framework": "onnx"}], "aliases": {"stable": "1"}}, a="b"), {},
            {"NAME": "m", "VERSIONS": "1", "ALIASES": "stable=1", "OWNER": "me", "REVISION": "3", "FRAMEWORK": "onnx", "DESCRIPTION": "-", "LABELS": "a=b"},
        ),
        (
            deployment("m@1", "b", remote={"name": "x"}), {"status": {"state": "FAILED", "reason": "no file"}},
            {"NAME": "m-1-b", "MODEL": "m@1", "BACKEND": "b", "STATE": "FAILED", "REASON": "no file", "REVISION": "3", "WANTED": "READY", "REMOTE": "name=x", "LABELS": "-"},
        ),
        (
            resource("Placement", "p", {"backend": "b", "match": {"framework": "onnx", "labels": {"a": "b"}}, "priority": 4}), {},
            {"NAME": "p", "MATCH": "framework=onnx,labels=a=b", "BACKEND": "b", "PRIORITY": "4", "REVISION": "3", "LABELS": "-"},
        ),
        (
            resource("Placement", "p", {"backend": "b"}), {},
            {"NAME": "p", "MATCH": "everything", "BACKEND": "b", "PRIORITY": "0", "REVISION": "3", "LABELS": "-"},
        ),
        (
            route("r", {"m@1": 2, "m@2": 1}, timeoutMs=250, sticky={"by": "header/x"}), {},
            {"NAME": "r", "TARGETS": "m@1 66.67%,m@2 33.33%", "STICKY": "header/x", "REVISION": "3", "TIMEOUT-MS": "250", "LABELS": "-"},
        ),
    ],
)  # fmt: skip
def test_each_kind_shows_what_matters(made: Resource, more: dict[str, object], expected: dict[str, str]) -> None:
    assert cells(made.kind, made, **more) == expected


def test_lists_are_cut_and_counted() -> None:
    assert some(["a", "b", "c"], 2) == "a,b,+1"
    assert some([]) == pairs({}) == pairs(None) == "-"


def test_documents_are_a_stream() -> None:
    assert as_documents([{"a": 1}, {"b": ["x", "y"]}]) == "{a: 1}\n---\nb: [x, y]"
