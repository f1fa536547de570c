"""Reading and writing single resources: /v1/{kind}s and /v1/{kind}s/{name}, one set of routes a kind."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from penstock_adapters.protocol.errors import NotFound
from penstock_gateway import admin_openapi as openapi
from penstock_gateway.admin_problems import InvalidRequest
from penstock_gateway.admin_requests import (
    PromoteBody,
    author_of,
    body_as,
    etag,
    expected_revision,
    json_body,
    reason_of,
)
from penstock_gateway.admin_selection import matches, page, selector
from penstock_gateway.admin_state import PLURALS, AdminState
from penstock_gateway.explanations import FieldProblem
from penstock_gateway.manifest_resources import resource_from
from penstock_registry.kinds import Kind, ModelSpec, Resource
from penstock_registry.registry import Edit, WriteResult
from penstock_registry.schemas import schema
from penstock_registry.snapshot import Snapshot

PAGE_MAX: Final = 1000

DryRun = Annotated[bool, Query(description="check and answer as if, but change nothing")]


def json_response(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as a JSON answer."""
    return Response(orjson.dumps(value), status_code=status, media_type="application/json", headers=headers)


def add_resources(router: APIRouter, state: AdminState) -> None:
    """The routes of every kind."""
    for plural, kind in PLURALS.items():
        _add_list(router, state, plural, kind)
        _add_get(router, state, plural, kind)
        _add_put(router, state, plural, kind)
        _add_delete(router, state, plural, kind)
    _add_promote(router, state)
    _add_schemas(router)


def _add_list(router: APIRouter, state: AdminState, plural: str, kind: Kind) -> None:
    async def list_resources(
        labels: Annotated[
            str,
            Query(alias="selector", max_length=1024, description="label conditions: `a=b,c!=d,e,!f`; all must hold"),
        ] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="most items in one answer")] = 500,
        after: Annotated[str, Query(max_length=128, description="the `next` of the page before")] = "",
    ) -> Response:
        terms = selector(labels)
        snapshot = await state.snapshot()

        def answer() -> Response:
            items, following = page((r for r in snapshot.of(kind) if matches(r, terms)), limit, after)
            shown = [state.shown(item) for item in items]
            return json_response({"revision": snapshot.revision, "items": shown, "next": following})

        # Off the event loop: thousands of resources would hold up the predictions beside them.
        return await asyncio.to_thread(answer)

    router.add_api_route(
        f"/v1/{plural}",
        list_resources,
        methods=["GET"],
        summary=f"List {plural}",
        operation_id=f"list_{plural}",
        tags=[plural],
        responses=openapi.answers({200: openapi.listing(kind)}, 400, 503),
    )


def _add_get(router: APIRouter, state: AdminState, plural: str, kind: Kind) -> None:
    async def get_resource(name: str, request: Request) -> Response:
        resource = _existing(await state.snapshot(), kind, name)
        tag = etag(resource.revision)
        if request.headers.get("if-none-match", "").strip() == tag:
            return Response(status_code=304, headers={"etag": tag})
        return json_response(state.shown(resource), headers={"etag": tag})

    router.add_api_route(
        f"/v1/{plural}/{{name}}",
        get_resource,
        methods=["GET"],
        summary=f"Read one of the {plural}; its ETag is its revision",
        operation_id=f"get_{kind.lower()}",
        tags=[plural],
        responses=openapi.answers({200: openapi.resource(kind), 304: openapi.EMPTY}, 404, 503),
    )


def _add_put(router: APIRouter, state: AdminState, plural: str, kind: Kind) -> None:
    async def put_resource(name: str, request: Request, *, dry_run: DryRun = False) -> Response:
        expected = expected_revision(request)
        resource = _named(await json_body(request, state.body_max_bytes), kind, name)
        registry = await state.registry()
        result = await registry.write(
            [Edit(key=resource.key, resource=resource)],
            author=author_of(request),
            reason=reason_of(request),
            expected=None if expected is None else {resource.key: expected},
            dry_run=dry_run,
        )
        shown = resource if dry_run else await _stored(state, resource, result)
        headers = {"etag": etag(shown.revision), "penstock-outcome": result.outcomes[0]}
        created = result.outcomes[0] == "created" and not dry_run
        return json_response(state.shown(shown), status=201 if created else 200, headers=headers)

    router.add_api_route(
        f"/v1/{plural}/{{name}}",
        put_resource,
        methods=["PUT"],
        summary=f"Create or replace one of the {plural}",
        operation_id=f"put_{kind.lower()}",
        tags=[plural],
        responses=openapi.answers({200: openapi.resource(kind), 201: openapi.resource(kind)}, 400, 409, 413, 415, 503),
        openapi_extra=openapi.body_of(kind) | openapi.headers("if-match", "if-none-match", "author", "reason"),
    )


def _add_delete(router: APIRouter, state: AdminState, plural: str, kind: Kind) -> None:
    async def delete_resource(name: str, request: Request, *, dry_run: DryRun = False) -> Response:
        expected = expected_revision(request)
        resource = _existing(await state.snapshot(), kind, name)
        registry = await state.registry()
        result = await registry.write(
            [Edit(key=resource.key, resource=None)],
            author=author_of(request),
            reason=reason_of(request),
            expected=None if expected is None else {resource.key: expected},
            dry_run=dry_run,
        )
        return json_response(
            {"kind": kind, "name": name, "outcome": result.outcomes[0], "revision": result.revision, "dry_run": dry_run}
        )

    router.add_api_route(
        f"/v1/{plural}/{{name}}",
        delete_resource,
        methods=["DELETE"],
        summary=f"Delete one of the {plural}",
        operation_id=f"delete_{kind.lower()}",
        tags=[plural],
        responses=openapi.answers({200: openapi.DELETED}, 400, 404, 409, 503),
        openapi_extra=openapi.headers("if-match", "author", "reason"),
    )


def _add_promote(router: APIRouter, state: AdminState) -> None:
    async def promote(name: str, request: Request) -> Response:
        expected = expected_revision(request)
        body = body_as(PromoteBody, await json_body(request, state.body_max_bytes))
        _existing(await state.snapshot(), "Model", name)

        made: list[Resource] = []

        def change(model: Resource) -> Resource:
            assert isinstance(model.spec, ModelSpec)
            aliases = {**model.spec.aliases, body.alias: body.version}
            document = model.manifest()
            document["spec"]["aliases"] = aliases
            made.append(_named(document, "Model", name))
            return made[-1]

        registry = await state.registry()
        result = await registry.update(
            ("Model", name),
            change,
            author=author_of(request),
            reason=body.reason or f"promote {name}@{body.version} to {body.alias}",
            expected=expected,
        )
        resource = await _stored(state, made[-1], result)
        return json_response(state.shown(resource), headers={"etag": etag(resource.revision)})

    router.add_api_route(
        "/v1/models/{name}/promote",
        promote,
        methods=["POST"],
        summary="Let an alias of a model point to another version",
        operation_id="promote_model",
        tags=["models"],
        responses=openapi.answers({200: openapi.resource("Model")}, 400, 404, 409, 413, 415, 503),
        openapi_extra=openapi.body(PromoteBody) | openapi.headers("if-match", "author"),
    )


def _add_schemas(router: APIRouter) -> None:
    async def get_schema(kind: str) -> Response:
        for plural, known in PLURALS.items():
            if kind.lower() in {plural, known.lower()}:
                return json_response(schema(known))
        raise NotFound("resource_not_found", kind="schema", name=kind)

    router.add_api_route(
        "/v1/schemas/{kind}",
        get_schema,
        methods=["GET"],
        summary="The JSON Schema of a kind's manifests",
        operation_id="get_schema",
        tags=["schemas"],
        responses=openapi.answers({200: openapi.OBJECT}, 404),
    )


async def _stored(state: AdminState, resource: Resource, result: WriteResult) -> Resource:
    """What was written, as it is stored. Not read again: by then it may be another's, or the database gone."""
    if result.outcomes[0] != "unchanged":
        return resource.model_copy(update={"revision": result.revision})
    stored = (await state.snapshot()).get(resource.kind, resource.metadata.name)
    return stored if stored is not None else resource


def _existing(snapshot: Snapshot, kind: Kind, name: str) -> Resource:
    resource = snapshot.get(kind, name)
    if resource is None:
        raise NotFound("resource_not_found", kind=kind, name=name)
    return resource


def _named(document: object, kind: Kind, name: str) -> Resource:
    """The resource of a body that must be of `kind` and called `name`. Raises InvalidArgument."""
    made = resource_from(document)
    if isinstance(made, list):
        raise InvalidRequest(made)
    if made.kind != kind:
        raise InvalidRequest([FieldProblem(("kind",), f"must be {kind} on this path, not {made.kind}")])
    if made.metadata.name != name:
        text = f"must be the name in the path, '{name}'"
        raise InvalidRequest([FieldProblem(("metadata", "name"), text)])
    return made
