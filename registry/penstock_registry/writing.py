"""Writing: a decided plan as rows, inside a transaction that holds the head."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from sqlalchemy import bindparam, delete, func, insert, update

from penstock_registry.chain import AuditRow, ChangeRow, SnapshotRow, audit_hash, snapshot_hash
from penstock_registry.plan import Plan
from penstock_registry.references import Reference, references_of
from penstock_registry.rows import Head
from penstock_registry.snapshot import Change
from penstock_registry.store import Transaction
from penstock_registry.tables import AUDIT, CHANGE, HEAD, REFERENCE, RESOURCE, SNAPSHOT

CHANNEL: Final = "penstock_revision"
"""PostgreSQL's LISTEN/NOTIFY channel; Redis uses the same word."""

_INSERT_RESOURCE: Final = insert(RESOURCE)
_UPDATE_RESOURCE: Final = (
    update(RESOURCE)
    .where(RESOURCE.c.kind == bindparam("at_kind"), RESOURCE.c.name == bindparam("at_name"))
    .values(revision=bindparam("revision"), body=bindparam("body"))
)
_DELETE_RESOURCE: Final = delete(RESOURCE).where(
    RESOURCE.c.kind == bindparam("at_kind"), RESOURCE.c.name == bindparam("at_name")
)
_DELETE_REFERENCES: Final = delete(REFERENCE).where(
    REFERENCE.c.kind == bindparam("at_kind"), REFERENCE.c.name == bindparam("at_name")
)
_UPDATE_HEAD: Final = update(HEAD).values(
    epoch=bindparam("new_epoch"),
    revision=bindparam("new_revision"),
    hash=bindparam("new_hash"),
    audit_id=bindparam("new_audit_id"),
    audit_hash=bindparam("new_audit_hash"),
)
# Delivered by PostgreSQL when, and only if, the transaction commits.
_UPDATE_HEAD_NOTIFYING: Final = _UPDATE_HEAD.returning(func.pg_notify(CHANNEL, bindparam("notice")))


def now_text() -> str:
    """The moment, ISO 8601 in UTC. For people: the order of things is the revision."""
    return datetime.now(UTC).isoformat()


async def write_snapshot(transaction: Transaction, head: Head, plan: Plan, *, author: str, reason: str) -> Head:
    """Store the plan's changes as the next snapshot and return the new head, which `write_head` must store."""
    revision = head.revision + 1
    changes = [
        ChangeRow(revision, *change.key, change.before.revision if change.before else 0, before, after)
        for change, (before, after) in zip(plan.changes, plan.bodies, strict=True)
    ]
    row = SnapshotRow(revision, author, reason, now_text(), len(changes), head.hash)
    row = msgspec.structs.replace(row, hash=snapshot_hash(row, changes))
    await transaction.run(insert(CHANGE), [msgspec.structs.asdict(change) for change in changes])
    await _write_resources(transaction, changes)
    await _write_references(transaction, plan.changes)
    await transaction.run(insert(SNAPSHOT), [msgspec.structs.asdict(row)])
    return msgspec.structs.replace(head, revision=revision, hash=row.hash)


async def write_audit(transaction: Transaction, head: Head, audit: Sequence[AuditRow]) -> Head:
    """Append audit rows (ids and hashes are given here) and return the new head, which `write_head` must store."""
    linked: list[dict[str, object]] = []
    for row in audit:
        numbered = msgspec.structs.replace(row, id=head.audit_id + 1)
        numbered = msgspec.structs.replace(numbered, hash=audit_hash(head.audit_hash, numbered))
        linked.append(msgspec.structs.asdict(numbered))
        head = msgspec.structs.replace(head, audit_id=numbered.id, audit_hash=numbered.hash)
    await transaction.run(insert(AUDIT), linked)
    return head


async def write_head(transaction: Transaction, head: Head, *, notify: bool) -> None:
    """Move the end of both chains; with `notify`, tell who listens that there is a new revision."""
    values: dict[str, object] = {f"new_{name}": value for name, value in msgspec.structs.asdict(head).items()}
    if notify and transaction.postgresql:
        await transaction.rows(_UPDATE_HEAD_NOTIFYING, values | {"notice": str(head.revision)})
    else:
        await transaction.run(_UPDATE_HEAD, [values])


async def _write_resources(transaction: Transaction, changes: list[ChangeRow]) -> None:
    created = [
        {"kind": c.kind, "name": c.name, "revision": c.revision, "body": c.after}
        for c in changes
        if c.before is None and c.after is not None
    ]
    updated: list[dict[str, object]] = [
        {"at_kind": c.kind, "at_name": c.name, "revision": c.revision, "body": c.after}
        for c in changes
        if c.before is not None and c.after is not None
    ]
    deleted: list[dict[str, object]] = [{"at_kind": c.kind, "at_name": c.name} for c in changes if c.after is None]
    await transaction.run(_INSERT_RESOURCE, created)
    await transaction.run(_UPDATE_RESOURCE, updated)
    await transaction.run(_DELETE_RESOURCE, deleted)


async def _write_references(transaction: Transaction, changes: tuple[Change, ...]) -> None:
    moved = [
        (change, was, will)
        for change in changes
        if (was := _stored(references_of(change.before))) != (will := _stored(references_of(change.after)))
    ]
    await transaction.run(
        _DELETE_REFERENCES, [{"at_kind": c.key[0], "at_name": c.key[1]} for c, was, _ in moved if was]
    )
    names = ("kind", "name", "target_kind", "target_name", "selector")
    rows: list[dict[str, object]] = [dict(zip(names, row, strict=True)) for _, _, will in moved for row in sorted(will)]
    await transaction.run(insert(REFERENCE), rows)


def _stored(references: tuple[Reference, ...]) -> set[tuple[str, str, str, str, str]]:
    return {(*reference.source, *reference.target, reference.selector) for reference in references}
