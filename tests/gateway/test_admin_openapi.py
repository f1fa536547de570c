"""The OpenAPI document is whole, and says what the API does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock_adapters.protocol.message import Json
from penstock_gateway.admin import create_admin
from penstock_gateway.admin_openapi import answers
from penstock_registry.kinds import KINDS
from tests.gateway.test_admin_state import no_registry
from tests.support.admin import FixedServing


@pytest.fixture(scope="module")
def document() -> dict[str, Json]:
    return create_admin(no_registry, lambda _: ("READY", ""), FixedServing(), version="1").openapi()


def references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def operations(document: dict[str, Json]) -> Iterator[Json]:
    for path in document["paths"].values():
        yield from path.values()


def test_it_is_openapi_3_1(document: dict[str, Json]) -> None:
    assert document["openapi"].startswith("3.1")


def test_every_reference_finds_its_schema(document: dict[str, Json]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    assert set(references(document)) <= known
    assert {f"#/components/schemas/{kind}" for kind in KINDS} <= set(references(document))


def test_every_operation_has_a_name_of_its_own_and_a_summary(document: dict[str, Json]) -> None:
    names = [operation["operationId"] for operation in operations(document)]

    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations(document))


def test_no_operation_promises_a_status_that_is_never_sent(document: dict[str, Json]) -> None:
    assert all("422" not in operation["responses"] for operation in operations(document))
    with pytest.raises(AssertionError):
        answers({}, 422)


def test_writes_take_the_author_and_a_body(document: dict[str, Json]) -> None:
    for path, methods in document["paths"].items():
        for method in ("put", "post"):
            if method in methods:
                assert methods[method]["requestBody"]["required"], path
                headers = {p["name"] for p in methods[method]["parameters"] if p["in"] == "header"}
                assert "x-penstock-author" in headers, path
