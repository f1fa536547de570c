"""The published JSON Schemas agree with the classes."""

from __future__ import annotations

import json

import pytest
from jsonschema_rs import Draft202012Validator, meta

from penstock_registry.kinds import KINDS, Kind
from penstock_registry.schemas import schema
from tests.registry.test_kinds import GOOD
from tests.support.resources import resource


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_a_valid_schema_and_json(kind: Kind) -> None:
    document = schema(kind)

    meta.validate(document)
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_manifest_fits_its_schema_and_no_other(kind: Kind) -> None:
    manifest = json.loads(json.dumps(resource(kind, "a", GOOD[kind], team="x").manifest()))

    fitting = [other for other in KINDS if Draft202012Validator(schema(other)).is_valid(manifest)]

    assert fitting == [kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [{"color": 1}, {"kind": "Graph"}, {"apiVersion": "v2"}, {"spec": {"color": 1}}])
def test_unknown_fields_and_words_do_not_fit(kind: Kind, change: dict[str, object]) -> None:
    manifest = resource(kind, "a", GOOD[kind]).manifest()

    assert not Draft202012Validator(schema(kind)).is_valid(json.loads(json.dumps(manifest | change)))


def test_every_field_that_has_a_unit_or_a_rule_is_described() -> None:
    text = json.dumps(schema("Backend"))

    assert "requests at once" in text
    assert "maxInFlight" in text
    assert "max_in_flight" not in text
