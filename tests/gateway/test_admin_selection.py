"""Selectors, pages and the scope of prune mean what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_gateway.admin_requests import PruneScope
from penstock_gateway.admin_selection import matches, page, selector, to_prune
from tests.support.resources import backend, deployment, model, resource, route, snapshot

LABELLED = resource("Backend", "b", {"platform": "x"}, zone="z1", tier="gold")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True), ("zone=z1", True), ("zone==z1", True), ("zone=z2", False), ("zone!=z2", True), ("zone!=z1", False),
        ("zone", True), ("!zone", False), ("!other", True), ("other", False), ("zone=z1,tier=gold", True),
        ("zone=z1,tier=iron", False), (" zone = z1 , tier ", True), ("other!=x", True), ("zone=", False),
    ],
)  # fmt: skip
def test_all_conditions_must_hold(text: str, *, holds: bool) -> None:
    assert matches(LABELLED, selector(text)) is holds


@pytest.mark.parametrize(
    "text", ["a=b=c", "=b", "!a=b", "a b", "a!b", "a" * 3 + "=!x", ",".join("abcdefghijklmnopqrstuvwxyzABCDEFG")]
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="selector"):
        selector(text)


@given(st.sets(st.text("abc", min_size=1, max_size=4), max_size=20), st.integers(1, 7))
def test_pages_give_every_resource_once_and_in_order(names: set[str], limit: int) -> None:
    everything = [backend(name) for name in sorted(names)]
    seen: list[str] = []
    after = ""
    while True:
        items, after = page(everything, limit, after)
        assert len(items) <= limit
        seen += [item.metadata.name for item in items]
        if not after:
            break

    assert seen == sorted(names)


def test_prune_takes_users_before_what_they_use() -> None:
    stored = snapshot(3, backend("b"), model("m", "1"), deployment("m@1", "b"), route("r", {"m": 1}))
    every_kind = PruneScope(kinds=("Backend", "Model", "Deployment", "Route"))

    assert to_prune(stored, [], every_kind) == [
        ("Route", "r"),
        ("Deployment", "m-1-b"),
        ("Model", "m"),
        ("Backend", "b"),
    ]


def test_without_kinds_the_kinds_of_the_set_are_pruned() -> None:
    stored = snapshot(3, backend("a"), backend("b"), model("m", "1"))

    assert to_prune(stored, [backend("b")], PruneScope()) == [("Backend", "a")]
    assert to_prune(stored, [], PruneScope()) == []
