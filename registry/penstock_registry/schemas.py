"""JSON Schema (draft 2020-12) of every kind's manifest, from the classes that validate it."""

from __future__ import annotations

from typing import Final

from penstock_adapters.protocol.message import Json
from penstock_registry.kinds import API_VERSION, SPECS, Kind, Metadata

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: Kind) -> dict[str, Json]:
    """The schema of a whole manifest: apiVersion, kind, metadata, spec. What only code can check is not in it."""
    spec = SPECS[kind].model_json_schema()
    metadata = Metadata.model_json_schema()
    definitions = {**metadata.pop("$defs", {}), **spec.pop("$defs", {})}
    required = ["apiVersion", "kind", "metadata", *(["spec"] if spec.get("required") else [])]
    document: dict[str, Json] = {
        "$schema": DIALECT,
        "title": kind,
        "description": spec.pop("description", ""),
        "type": "object",
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": metadata,
            "spec": spec,
        },
        "required": required,
        "additionalProperties": False,
    }
    if definitions:
        document["$defs"] = definitions
    return document
