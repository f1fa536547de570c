"""What pydantic finds is said in words: the path, what is expected, the nearest name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from penstock_gateway.explanations import PATTERN_WORDS, FieldProblem, explain, kind_of, nearest, path_text
from penstock_registry.kinds import (
    KINDS,
    BackendSpec,
    DeploymentSpec,
    Frozen,
    Metadata,
    ModelSpec,
    PlacementSpec,
    RouteSpec,
)
from penstock_registry.schemas import schema


def said(model: type[Frozen], value: object) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(value)
    return [str(problem) for problem in explain(raised.value, model)]


def patterns(node: object) -> set[str]:
    if isinstance(node, dict):
        here = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
        return here.union(*map(patterns, node.values()))
    return set().union(*map(patterns, node)) if isinstance(node, list) else set()


def test_every_pattern_of_the_kinds_is_said_in_words() -> None:
    used = set().union(*(patterns(schema(kind)) for kind in KINDS))

    assert used == PATTERN_WORDS.keys()


@pytest.mark.parametrize(
    ("model", "value", "problem"),
    [
        (BackendSpec, {"platfrom": "triton", "platform": "x"}, "platfrom: unknown field; did you mean 'platform'?"),
        (BackendSpec, {}, "platform: is missing; this field is required"),
        (BackendSpec, {"platform": "x", "limits": {"maxInflight": 3}}, "limits.maxInflight: unknown field; did you mean 'maxInFlight'?"),
        (BackendSpec, {"platform": "x", "limits": {"maxInFlight": 0}}, "limits.maxInFlight: must be at least 1"),
        (BackendSpec, {"platform": "x", "limits": 3}, "limits: must be a mapping, not a number"),
        (BackendSpec, {"platform": "x", "endpoints": {}}, "endpoints: must be a list, not a mapping"),
        (BackendSpec, {"platform": "x", "endpoints": [{"weight": "much"}]}, "endpoints[0].weight: must be a whole number, not text"),
        (BackendSpec, {"platform": "x", "endpoints": [{"weight": 1.5}]}, "endpoints[0].weight: must be a whole number without fraction, not a number"),
        (BackendSpec, {"platform": "x", "endpoints": [{"url": "https://h"}]}, "endpoints[0].url: must be http://host:port without path, user or query"),
        (BackendSpec, {"platform": "x", "health": {"intervalSeconds": 0}}, "health.intervalSeconds: must be greater than 0"),
        (BackendSpec, {"platform": "x", "options": {"a b": []}}, "options['a b']: must be text, a number, true or false"),
        (ModelSpec, {"versions": [{"id": 1}]}, 'versions[0].id: must be text: put it in quotes, "1"'),
        (ModelSpec, {"required": "maybe"}, "required: must be true or false, not text"),
        (ModelSpec, {"aliases": {"stable": "9"}}, "alias 'stable' points to version '9', which is not listed"),
        (ModelSpec, {"aliases": {"a b": "9"}}, "aliases['a b']: must be a version or alias: letters, digits, '.', '_' and '-', starting with a letter or digit, at most 64; not 'a b'"),
        (DeploymentSpec, {"model": "m", "backend": "b"}, "model: must name a version: model@version"),
        (DeploymentSpec, {"model": "m@1", "backend": "b", "state": "ready"}, "state: must be one of READY, UNLOADED; did you mean 'READY'?"),
        (DeploymentSpec, {"model": "m@1", "backend": "b", "state": 3}, "state: must be one of READY, UNLOADED; not a number"),
        (PlacementSpec, {"backend": "b", "match": {"labels": {"a": None}}}, "match.labels.a: must be text, not nothing"),
        (RouteSpec, {"targets": []}, "targets: must have at least 1 entry"),
        (RouteSpec, {"targets": [{"to": "m", "wieght": 1}]}, "targets[0].wieght: unknown field; did you mean 'weight'?"),
        (RouteSpec, {"targets": [{"to": "m"}], "timeoutMs": 0}, "timeoutMs: must be at least 1"),
        (RouteSpec, {"targets": [{"to": "m"}], "sticky": {"by": "cookie"}}, "sticky.by: must be header/NAME or parameter/NAME, such as header/x-user; not 'cookie'"),
        (Metadata, {"name": "a..b"}, "name: must not contain '..'"),
    ],
)  # fmt: skip
def test_a_problem_says_where_and_what_to_do(model: type[Frozen], value: object, problem: str) -> None:
    assert said(model, value) == [problem]


def test_every_problem_is_said() -> None:
    found = said(RouteSpec, {"targets": [{"to": "a b", "weigth": 1}, {"weight": -1}], "sticki": {}})

    assert [line.partition(":")[0] for line in found] == [
        "targets[0].to", "targets[0].weigth", "targets[1].to", "targets[1].weight", "sticki",
    ]  # fmt: skip


def test_a_name_unlike_all_others_is_answered_with_the_list() -> None:
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", []) == "no fields are known here"


def test_a_problem_of_the_whole_has_no_path() -> None:
    assert str(FieldProblem((), "is empty")) == "is empty"
    assert path_text(("spec", 0, "a", "b c")) == "spec[0].a['b c']"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true or false"),
        (1, "a number"),
        ("", "text"),
        ({}, "a mapping"),
        ([], "a list"),
        (object(), "something else"),
    ],
)
def test_values_are_called_what_they_are(value: object, words: str) -> None:
    assert kind_of(value) == words
