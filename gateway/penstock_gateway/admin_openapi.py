"""The admin API's OpenAPI 3.1 parts: what each route takes and answers. The manifests' schemas come from the kinds."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, JsonValue
from pydantic.json_schema import models_json_schema

from penstock_adapters.protocol.errors import Code
from penstock_gateway.admin_problems import MEDIA_TYPE
from penstock_gateway.admin_requests import (
    AUTHOR_HEADER,
    REASON_HEADER,
    ApplyBody,
    DiffBody,
    PromoteBody,
    RollbackBody,
)
from penstock_registry.kinds import API_VERSION, KINDS, SPECS, Kind, Metadata

Json = dict[str, JsonValue]
"""A piece of an OpenAPI document."""
Answers = dict[int | str, Json]

REF: Final = "#/components/schemas/{model}"
BODIES: Final[tuple[type[BaseModel], ...]] = (ApplyBody, DiffBody, PromoteBody, RollbackBody)


def _object(**properties: JsonValue) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: JsonValue) -> Json:
    return {"type": "array", "items": items}


def _answer(schema: JsonValue, description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Json:
    return {"$ref": REF.format(model=name)}


_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "integer"}
_FLAG: Final[Json] = {"type": "boolean"}
_KIND: Final[Json] = {"type": "string", "enum": list(KINDS)}
_OUTCOME: Final[Json] = {"type": "string", "enum": ["created", "updated", "unchanged", "deleted"]}
_FIELD: Final = _object(path=_TEXT, before={}, after={})
_CHANGE: Final = _object(kind=_KIND, name=_TEXT, outcome=_OUTCOME, fields=_list(_FIELD))
_INFO: Final[Json] = {
    "revision": _NUMBER,
    "author": _TEXT,
    "reason": _TEXT,
    "created_at": {"type": "string", "format": "date-time"},
    "changed": {"type": "integer", "description": "resources changed"},
    "hash": {"type": "string", "description": "SHA-256 over this snapshot and the hash before it"},
    "previous_hash": _TEXT,
}

EMPTY: Final[Json] = {"description": "nothing changed since"}
OBJECT: Final = _answer({"type": "object"}, "a JSON Schema")
DELETED: Final = _answer(
    _object(kind=_KIND, name=_TEXT, outcome=_OUTCOME, revision=_NUMBER, dry_run=_FLAG), "what was deleted"
)
OUTCOMES: Final = _answer(
    _object(revision=_NUMBER, dry_run=_FLAG, outcomes=_list(_object(kind=_KIND, name=_TEXT, outcome=_OUTCOME))),
    "the outcome for each resource, in the order given; what was pruned follows",
)
CHANGES: Final = _answer(_object(revision=_NUMBER, changes=_list(_CHANGE)), "what differs; empty = nothing")
EXPORT: Final = _answer(_object(revision=_NUMBER, resources=_list({"type": "object"})), "manifests")
SNAPSHOTS: Final = _answer(
    _object(
        items=_list(_object(**_INFO)),
        next={"type": "integer", "description": "`before` of the next page; 0 = the last"},
    ),
    "snapshots",
)
SNAPSHOT: Final = _answer(_object(**_INFO, changes=_list(_CHANGE)), "the snapshot")
ROLLED_BACK: Final = _answer(_object(revision=_NUMBER, to=_NUMBER, changed=_NUMBER), "the new snapshot")
AUDIT: Final = _answer(_object(items=_list({"type": "object"})), "attempts")
STATUS: Final = _answer(
    _object(
        version=_TEXT,
        revision={"type": "integer", "description": "newest snapshot of the registry"},
        generation={"type": "integer", "description": "snapshot this process serves from"},
        ready=_FLAG,
        reason={"type": "string", "description": "why it is not ready, or empty"},
        resources={"type": "object", "additionalProperties": _NUMBER, "description": "how many of each kind"},
        deployments={"type": "object", "additionalProperties": _NUMBER, "description": "how many in each state"},
    ),
    "the state of this server",
)
HEALTH: Final = _answer(_object(status=_TEXT), "the process answers")

HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "if-match": ("If-Match", "the ETag of the resource you changed; another revision there is 409"),
    "if-none-match": ("If-None-Match", "`*`: only create; if it exists that is 409"),
    "author": (AUTHOR_HEADER, "who makes the change; kept with the snapshot"),
    "reason": (REASON_HEADER, "why; kept with the snapshot"),
}


def resource(kind: Kind) -> Json:
    """The answer that is one resource."""
    return _answer(_ref(kind), f"the {kind}")


def listing(kind: Kind) -> Json:
    """The answer that is a page of resources."""
    following: Json = {"type": "string", "description": "`after` of the next page; empty = the last"}
    return _answer(_object(revision=_NUMBER, items=_list(_ref(kind)), next=following), "a page")


def answers(good: Mapping[int, Json], *statuses: int) -> Answers:
    """The answers of one route: the good ones, and a problem document for each status."""
    found: Answers = {}
    found.update(good.items())
    for status in (403, *statuses):  # 403: a Host or an Origin that is not ours, wherever it knocks
        assert any(code.http == status for code in Code), "only statuses of the one table"
        found[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
        }
    return found


def body_of(kind: Kind) -> Json:
    """The request body that is a manifest."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(kind)}}}}


def body(model: type[BaseModel]) -> Json:
    """The request body that is `model`."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(model.__name__)}}}}


def headers(*names: str) -> Json:
    """The request headers a route reads."""
    return {
        "parameters": [
            {
                "name": HEADERS[name][0],
                "in": "header",
                "required": False,
                "schema": _TEXT,
                "description": HEADERS[name][1],
            }
            for name in names
        ]
    }


def install(app: FastAPI) -> None:
    """Let `app` answer /openapi.json with the document that has every schema the routes refer to."""

    def document() -> dict[str, object]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
            )
            components = made.setdefault("components", {}).setdefault("schemas", {})
            components.clear()
            components.update(_schemas())
            for operation in (o for path in made["paths"].values() for o in path.values()):
                # FastAPI announces its own 422, which this API never answers.
                operation["responses"].pop("422", None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _schemas() -> Json:
    models = [(model, "validation") for model in (Metadata, *SPECS.values(), *BODIES)]
    _, found = models_json_schema(models, ref_template=REF)  # type: ignore[arg-type]  # a list of literals
    schemas: Json = dict(found["$defs"])
    for kind in KINDS:
        schemas[kind] = {
            "type": "object",
            "additionalProperties": False,
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "properties": {
                "apiVersion": {"const": API_VERSION},
                "kind": {"const": kind},
                "metadata": _ref("Metadata"),
                "spec": _ref(SPECS[kind].__name__),
                "revision": {"type": "integer", "readOnly": True, "description": "the snapshot that last changed it"},
                "status": {"type": "object", "readOnly": True, "description": "what is observed here and now"},
            },
        }
    problem = _object(type=_TEXT, title=_TEXT, status=_NUMBER, detail=_TEXT, error=_TEXT, reason=_TEXT, hint=_TEXT)
    schemas["Problem"] = problem | {"description": "RFC 9457, with the `error` member and a hint"}
    return schemas
