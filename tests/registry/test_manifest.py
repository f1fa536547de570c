"""Stored text and back."""

from __future__ import annotations

import pytest

from penstock_adapters.protocol.errors import Internal, InvalidArgument
from penstock_registry.manifest import BODY_MAX, decode, encode, kind_of, name_of
from tests.support.resources import backend, model


def test_equal_resources_give_equal_text_whatever_the_order_of_their_fields() -> None:
    one = model("m", "1", "2", aliases={"a": "1", "b": "2"}, owner="x")
    other = model("m", "1", "2", owner="x", aliases={"b": "2", "a": "1"})

    assert encode(one) == encode(other)


def test_the_text_is_the_manifest_with_sorted_keys() -> None:
    text = encode(backend("b"))

    assert text == '{"apiVersion":"penstock/v1","kind":"Backend","metadata":{"name":"b"},"spec":{"platform":"fake"}}'


def test_the_revision_is_not_part_of_the_text() -> None:
    stored = decode("Backend", encode(backend("b")), 41)

    assert stored.revision == 41
    assert encode(stored) == encode(backend("b"))


def test_a_resource_too_large_to_store_is_refused() -> None:
    description = "x" * 16_000
    versions = {"versions": [{"id": str(i), "labels": {description[:250] + str(i): "x"}} for i in range(5000)]}

    with pytest.raises(InvalidArgument, match=f"at most {BODY_MAX}"):
        encode(model("m").model_copy(update={"spec": model("m").spec.model_validate(versions)}))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"metadata":{"name":"b"}}', '{"metadata":{"name":"b"},"spec":{"platform":1}}'],
)
def test_text_that_is_no_resource_is_said_to_be_unreadable(text: str) -> None:
    with pytest.raises(Internal) as caught:
        decode("Backend", text, 3)

    assert caught.value.reason == "registry_unreadable"


def test_a_kind_of_the_future_is_said_to_be_unreadable() -> None:
    with pytest.raises(Internal):
        kind_of("Graph")


def test_resources_are_named_by_kind_and_name() -> None:
    assert name_of(("Model", "m")) == "Model/m"
