"""What a commit appends, computed before anything is written: the snapshot, its changes, audit rows and the new head."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from penstock_registry.chain import AuditRow, ChangeRow, SnapshotRow, audit_hash, snapshot_hash
from penstock_registry.plan import Plan
from penstock_registry.references import Reference, references_of
from penstock_registry.rows import Head
from penstock_registry.snapshot import Change

ReferenceRow = tuple[str, str, str, str, str]
"""Kind, name, target kind, target name, selector."""


class Entries(msgspec.Struct, frozen=True):
    """Everything one commit writes. Without a snapshot there are no changes."""

    head: Head
    audit: tuple[AuditRow, ...]
    snapshot: SnapshotRow | None = None
    changes: tuple[ChangeRow, ...] = ()
    stale: tuple[tuple[str, str], ...] = ()
    """Resources whose stored references are to go,"""
    references: tuple[ReferenceRow, ...] = ()
    """and the references to store."""


def now_text() -> str:
    """The moment, ISO 8601 in UTC. For people: the order of things is the revision."""
    return datetime.now(UTC).isoformat()


def audited(head: Head, audit: Sequence[AuditRow]) -> Entries:
    """Audit rows alone. Ids and hashes are given here."""
    linked: list[AuditRow] = []
    for row in audit:
        numbered = msgspec.structs.replace(row, id=head.audit_id + 1)
        linked.append(msgspec.structs.replace(numbered, hash=audit_hash(head.audit_hash, numbered)))
        head = msgspec.structs.replace(head, audit_id=linked[-1].id, audit_hash=linked[-1].hash)
    return Entries(head, tuple(linked))


def committed(head: Head, plan: Plan, audit: Sequence[AuditRow], *, author: str, reason: str) -> Entries:
    """The plan's changes as the next snapshot, with their audit rows."""
    revision = head.revision + 1
    changes = tuple(
        ChangeRow(revision, *change.key, change.before.revision if change.before else 0, before, after)
        for change, (before, after) in zip(plan.changes, plan.bodies, strict=True)
    )
    row = SnapshotRow(revision, author, reason, now_text(), len(changes), head.hash)
    row = msgspec.structs.replace(row, hash=snapshot_hash(row, changes))
    done = audited(msgspec.structs.replace(head, revision=revision, hash=row.hash), audit)
    stale, references = _moved(plan.changes)
    return msgspec.structs.replace(done, snapshot=row, changes=changes, stale=stale, references=references)


def _moved(changes: Sequence[Change]) -> tuple[tuple[tuple[str, str], ...], tuple[ReferenceRow, ...]]:
    stale: list[tuple[str, str]] = []
    stored: list[ReferenceRow] = []
    for change in changes:
        was, will = _rows(references_of(change.before)), _rows(references_of(change.after))
        if was != will:
            stored += sorted(will)
            if was:
                stale.append(change.key)
    return tuple(stale), tuple(stored)


def _rows(references: tuple[Reference, ...]) -> set[ReferenceRow]:
    return {(*reference.source, *reference.target, reference.selector) for reference in references}
