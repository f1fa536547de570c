"""What a commit appends."""

from __future__ import annotations

from penstock_registry.chain import GENESIS, AuditRow, audit_hash, snapshot_hash
from penstock_registry.entries import audited, committed
from penstock_registry.manifest import encode
from penstock_registry.plan import Edit, decide, prepare
from penstock_registry.rows import Head, Stored
from tests.support.resources import deployment, model

HEAD = Head(1, 6, "6" * 64, 3, "3" * 64)
ROW = AuditRow(0, "now", "ann", "write", "Model/m", "", "", "ok", 6, 7)


def test_audit_rows_are_numbered_and_linked_one_to_the_next() -> None:
    entries = audited(HEAD, [ROW, ROW])

    first, second = entries.audit
    assert (first.id, first.hash) == (4, audit_hash(HEAD.audit_hash, first))
    assert (second.id, second.hash) == (5, audit_hash(first.hash, second))
    assert (entries.head.audit_id, entries.head.audit_hash, entries.head.revision) == (5, second.hash, 6)
    assert entries.snapshot is None


def test_a_snapshot_continues_the_head() -> None:
    plan = decide([prepare(Edit(("Model", "m"), model("m")))], {})

    entries = committed(HEAD, plan, [ROW], author="ann", reason="why")

    assert entries.snapshot is not None
    assert (entries.snapshot.revision, entries.snapshot.previous_hash, entries.snapshot.changed) == (7, HEAD.hash, 1)
    assert entries.head.hash == entries.snapshot.hash == snapshot_hash(entries.snapshot, entries.changes) != GENESIS
    assert entries.head.revision == 7


def test_references_are_rewritten_only_where_they_moved() -> None:
    there = {d.key: Stored(*d.key, 2, encode(d)) for d in (deployment("m@1", "b", "d"), deployment("m@1", "b", "e"))}
    moved, same = deployment("m@2", "b", "d"), deployment("m@1", "b", "e", state="UNLOADED")
    plan = decide([prepare(Edit(resource.key, resource)) for resource in (moved, same)], there)

    entries = committed(HEAD, plan, [ROW], author="ann", reason="")

    assert entries.stale == (("Deployment", "d"),)
    assert entries.references == (
        ("Deployment", "d", "Backend", "b", ""),
        ("Deployment", "d", "Model", "m", "version:2"),
    )
