"""The hash chain: everything that is told about a change is in its link."""

from __future__ import annotations

import msgspec
import pytest

from penstock_registry.chain import GENESIS, AuditRow, ChangeRow, SnapshotRow, audit_hash, snapshot_hash

SNAPSHOT = SnapshotRow(1, "ann", "first", "2026-11-20T12:00:00+00:00", 2, GENESIS)
CHANGES = (
    ChangeRow(1, "Model", "a", 0, None, '{"x":1}'),
    ChangeRow(1, "Model", "b", 7, '{"x":2}', None),
)
AUDIT = AuditRow(1, "2026-11-20T12:00:00+00:00", "ann", "write", "Model/a", "", "", "ok", 0, 1)


def test_the_link_is_the_same_wherever_it_is_computed() -> None:
    """A changed constant here means that every existing registry fails to verify."""
    assert snapshot_hash(SNAPSHOT, CHANGES) == "07562b674bda7d437562ad5489c3a0c23bb5ef12337eee354fce496cba26266b"
    assert audit_hash(GENESIS, AUDIT) == "8589bb48ebab3d06cd11dbff03d8f5564306de395685d6ee43366ffcfbbf8247"


def test_the_order_in_which_changes_are_read_does_not_matter() -> None:
    assert snapshot_hash(SNAPSHOT, CHANGES) == snapshot_hash(SNAPSHOT, CHANGES[::-1])


@pytest.mark.parametrize(
    "change",
    [{"revision": 2}, {"author": "eve"}, {"reason": ""}, {"created_at": "later"}, {"previous_hash": "1" * 64}],
    ids=str,
)
def test_another_word_of_the_snapshot_gives_another_link(change: dict[str, object]) -> None:
    assert snapshot_hash(msgspec.structs.replace(SNAPSHOT, **change), CHANGES) != snapshot_hash(SNAPSHOT, CHANGES)


@pytest.mark.parametrize(
    "change",
    [{"kind": "Route"}, {"name": "c"}, {"before_revision": 1}, {"before": '{"x":1}'}, {"after": '{"x":2}'}],
    ids=str,
)
def test_another_word_of_a_change_gives_another_link(change: dict[str, object]) -> None:
    forged = (msgspec.structs.replace(CHANGES[0], **change), CHANGES[1])

    assert snapshot_hash(SNAPSHOT, forged) != snapshot_hash(SNAPSHOT, CHANGES)


def test_a_change_more_or_less_gives_another_link() -> None:
    assert len({snapshot_hash(SNAPSHOT, CHANGES[:count]) for count in range(3)}) == 3


def test_every_field_of_an_audit_row_is_in_its_link() -> None:
    fields = [name for name in AuditRow.__struct_fields__ if name != "hash"]
    forged = [
        msgspec.structs.replace(AUDIT, **{name: 9 if isinstance(getattr(AUDIT, name), int) else "x"}) for name in fields
    ]

    assert len({audit_hash(GENESIS, row) for row in (AUDIT, *forged)}) == len(fields) + 1
    assert audit_hash("1" * 64, AUDIT) != audit_hash(GENESIS, AUDIT)
