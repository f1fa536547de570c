"""Changing many resources as one, and the history of changes: apply, diff, export, snapshots, rollback, audit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from penstock_adapters.protocol.errors import Conflict, NotFound
from penstock_gateway import admin_openapi as openapi
from penstock_gateway.admin_fields import field_changes
from penstock_gateway.admin_requests import (
    ApplyBody,
    DiffBody,
    PruneScope,
    RollbackBody,
    author_of,
    body_as,
    json_body,
    resources_of,
)
from penstock_gateway.admin_resources import json_response
from penstock_gateway.admin_selection import Term, matches, selector, to_prune
from penstock_gateway.admin_state import AdminState
from penstock_registry.kinds import KINDS, Resource
from penstock_registry.registry import Edit, WriteResult
from penstock_registry.snapshot import Change, Snapshot, SnapshotInfo

PRUNE_TRIES: Final = 5
Revision = Annotated[int, Path(ge=0, le=2**53, description="number of the snapshot")]


def add_changes(router: APIRouter, state: AdminState) -> None:
    """The routes of apply, diff, export and history."""
    _add_apply(router, state)
    _add_diff(router, state)
    _add_export(router, state)
    _add_snapshots(router, state)
    _add_snapshot(router, state)
    _add_rollback(router, state)
    _add_audit(router, state)


def _add_apply(router: APIRouter, state: AdminState) -> None:
    async def apply(request: Request) -> Response:
        body = body_as(ApplyBody, await json_body(request, state.body_max_bytes))
        resources = await resources_of(body.resources)
        author = author_of(request)
        edits, result = await _write(
            state, resources, body.prune_scope if body.prune else None,
            author=author, reason=body.reason, dry_run=body.dry_run,
        )  # fmt: skip
        outcomes = [
            {"kind": edit.key[0], "name": edit.key[1], "outcome": outcome}
            for edit, outcome in zip(edits, result.outcomes, strict=True)
        ]
        return json_response({"revision": result.revision, "dry_run": body.dry_run, "outcomes": outcomes})

    router.add_api_route(
        "/v1/apply",
        apply,
        methods=["POST"],
        summary="Bring about a set of manifests: all of them, as one snapshot, or none",
        operation_id="apply",
        tags=["changes"],
        responses=openapi.answers({200: openapi.OUTCOMES}, 400, 409, 413, 415, 503),
        openapi_extra=openapi.body(ApplyBody) | openapi.headers("author"),
    )


def _add_diff(router: APIRouter, state: AdminState) -> None:
    async def diff(request: Request) -> Response:
        body = body_as(DiffBody, await json_body(request, state.body_max_bytes))
        resources = await resources_of(body.resources)
        scope = body.prune_scope if body.prune else None
        before = await state.snapshot()
        edits, result = await _write(state, resources, scope, author=author_of(request), reason="", dry_run=True)
        changes = await asyncio.to_thread(_changes, before, edits, result)
        return json_response({"revision": before.revision, "changes": changes})

    router.add_api_route(
        "/v1/diff",
        diff,
        methods=["POST"],
        summary="What an apply of these manifests would change, field by field",
        operation_id="diff",
        tags=["changes"],
        responses=openapi.answers({200: openapi.CHANGES}, 400, 409, 413, 415, 503),
        openapi_extra=openapi.body(DiffBody) | openapi.headers("author"),
    )


async def _write(
    state: AdminState,
    resources: Sequence[Resource],
    prune: PruneScope | None,
    *,
    author: str,
    reason: str,
    dry_run: bool,
) -> tuple[list[Edit], WriteResult]:
    registry = await state.registry()
    edits = [Edit(key=resource.key, resource=resource) for resource in resources]
    if prune is None:
        return edits, await registry.write(edits, author=author, reason=reason, dry_run=dry_run)
    for left in range(PRUNE_TRIES - 1, -1, -1):
        snapshot = await state.snapshot()
        all_edits = edits + [Edit(key=key, resource=None) for key in to_prune(snapshot, resources, prune)]
        try:
            # What is pruned was decided from this snapshot; if somebody changes it meanwhile, decide again.
            return all_edits, await registry.write(
                all_edits, author=author, reason=reason, expected_revision=snapshot.revision, dry_run=dry_run
            )
        except Conflict:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _changes(before: Snapshot, edits: Sequence[Edit], result: WriteResult) -> list[dict[str, object]]:
    changes: list[dict[str, object]] = []
    for edit, outcome in zip(edits, result.outcomes, strict=True):
        if outcome == "unchanged":
            continue
        old = before.resources.get(edit.key)
        fields = field_changes(old.manifest() if old else {}, edit.resource.manifest() if edit.resource else {})
        changes.append({"kind": edit.key[0], "name": edit.key[1], "outcome": outcome, "fields": fields})
    return changes


def _add_export(router: APIRouter, state: AdminState) -> None:
    async def export(
        revision: Annotated[
            int | None, Query(ge=0, le=2**53, description="snapshot to export; the newest without")
        ] = None,
        labels: Annotated[str, Query(alias="selector", max_length=1024, description="label conditions")] = "",
    ) -> Response:
        terms = selector(labels)
        snapshot = await _snapshot_at(state, revision)
        return await asyncio.to_thread(_exported, snapshot, terms)

    router.add_api_route(
        "/v1/export",
        export,
        methods=["GET"],
        summary="Every resource as a manifest; applying them changes nothing",
        operation_id="export",
        tags=["changes"],
        responses=openapi.answers({200: openapi.EXPORT}, 400, 404, 503),
    )


def _exported(snapshot: Snapshot, terms: Sequence[Term]) -> Response:
    manifests = [r.manifest() for kind in KINDS for r in snapshot.of(kind) if matches(r, terms)]
    return json_response({"revision": snapshot.revision, "resources": manifests})


async def _snapshot_at(state: AdminState, revision: int | None) -> Snapshot:
    newest = await state.snapshot()
    if revision is None or revision == newest.revision:
        return newest
    if revision > newest.revision:
        raise NotFound("snapshot_not_found", revision=revision, newest=newest.revision)
    return await (await state.registry()).snapshot(revision)


def _add_snapshots(router: APIRouter, state: AdminState) -> None:
    async def snapshots(
        limit: Annotated[int, Query(ge=1, le=500, description="most snapshots in one answer")] = 50,
        before: Annotated[
            int | None, Query(ge=0, le=2**53, description="only older ones: the `next` of a page")
        ] = None,
    ) -> Response:
        registry = await state.registry()
        infos = await registry.history(limit=limit, before=before)
        following = infos[-1].revision if len(infos) == limit else 0
        return json_response({"items": [_info(info) for info in infos], "next": following})

    router.add_api_route(
        "/v1/snapshots",
        snapshots,
        methods=["GET"],
        summary="The history of the registry, newest first",
        operation_id="list_snapshots",
        tags=["history"],
        responses=openapi.answers({200: openapi.SNAPSHOTS}, 400, 503),
    )


def _add_snapshot(router: APIRouter, state: AdminState) -> None:
    async def snapshot(revision: Revision) -> Response:
        registry = await state.registry()
        infos = await registry.history(limit=1, before=revision + 1)
        if not infos or infos[0].revision != revision:
            raise NotFound("snapshot_not_found", revision=revision, newest=await registry.head())
        changes = await registry.diff(revision)
        return await asyncio.to_thread(lambda: json_response({**_info(infos[0]), "changes": _told(changes)}))

    router.add_api_route(
        "/v1/snapshots/{revision}",
        snapshot,
        methods=["GET"],
        summary="One snapshot and what it changed",
        operation_id="get_snapshot",
        tags=["history"],
        responses=openapi.answers({200: openapi.SNAPSHOT}, 400, 404, 503),
    )


def _told(changes: Sequence[Change]) -> list[dict[str, object]]:
    return [
        {
            "kind": change.key[0],
            "name": change.key[1],
            "outcome": "created" if change.before is None else "deleted" if change.after is None else "updated",
            "fields": field_changes(
                change.before.manifest() if change.before else {}, change.after.manifest() if change.after else {}
            ),
        }
        for change in changes
    ]


def _add_rollback(router: APIRouter, state: AdminState) -> None:
    async def rollback(request: Request) -> Response:
        body = body_as(RollbackBody, await json_body(request, state.body_max_bytes))
        registry = await state.registry()
        result = await registry.rollback(body.to, author=author_of(request), reason=body.reason)
        return json_response({"revision": result.revision, "to": body.to, "changed": len(result.outcomes)})

    router.add_api_route(
        "/v1/rollback",
        rollback,
        methods=["POST"],
        summary="Make everything as it was at a snapshot, as a new snapshot",
        operation_id="rollback",
        tags=["history"],
        responses=openapi.answers({200: openapi.ROLLED_BACK}, 400, 404, 409, 413, 415, 503),
        openapi_extra=openapi.body(RollbackBody) | openapi.headers("author"),
    )


def _add_audit(router: APIRouter, state: AdminState) -> None:
    async def audit(
        limit: Annotated[int, Query(ge=1, le=1000, description="most rows in one answer")] = 100,
    ) -> Response:
        rows = await (await state.registry()).audit(limit=limit)
        return json_response({"items": [msgspec.to_builtins(row) for row in rows]})

    router.add_api_route(
        "/v1/audit",
        audit,
        methods=["GET"],
        summary="Every attempt to change something, lost races included, newest first",
        operation_id="list_audit",
        tags=["history"],
        responses=openapi.answers({200: openapi.AUDIT}, 400, 503),
    )


def _info(info: SnapshotInfo) -> dict[str, object]:
    return {
        "revision": info.revision,
        "author": info.author,
        "reason": info.reason,
        "created_at": info.created_at.isoformat(),
        "changed": info.changed,
        "hash": info.hash,
        "previous_hash": info.previous_hash,
    }
