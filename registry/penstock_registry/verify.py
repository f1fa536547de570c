"""Walk both hash chains from the beginning and compare everything that is derived with what it is derived from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from penstock_adapters.protocol.errors import Internal
from penstock_registry import rows
from penstock_registry.chain import GENESIS, ChangeRow, SnapshotRow, audit_hash, snapshot_hash
from penstock_registry.manifest import decode
from penstock_registry.references import references_of
from penstock_registry.rows import Head
from penstock_registry.store import Transaction

PAGE: Final = 500

Bodies = dict[tuple[str, str], tuple[int, str]]


async def verify(transaction: Transaction) -> None:
    """Raises Internal("registry_tampered") naming the first place that does not fit."""
    head = await rows.head(transaction)
    await _resources(transaction, await _snapshots(transaction, head))
    await _audit(transaction, head)


async def _snapshots(transaction: Transaction, head: Head) -> Bodies:
    """What the registry must hold now, by its own history. Holds the changes of one snapshot at a time."""
    state: Bodies = {}
    link, revision = GENESIS, 0
    groups = _by_revision(transaction)
    stored: list[ChangeRow] = await anext(groups, [])
    while page := await rows.snapshots(transaction, after=revision, limit=PAGE):
        for row in page:
            changes: list[ChangeRow] = []
            if stored and stored[0].revision == row.revision:
                changes, stored = stored, await anext(groups, [])
            _link(row, changes, expected=revision + 1, link=link)
            _fold(state, changes)
            link, revision = row.hash, row.revision
        await transaction.breathe()
    if (head.revision, head.hash) != (revision, link):
        raise _tampered(f"revision {head.revision}", f"the head does not continue revision {revision}")
    if stored:
        raise _tampered(f"revision {stored[0].revision}", "changes without a snapshot")
    return state


async def _by_revision(transaction: Transaction) -> AsyncIterator[list[ChangeRow]]:
    """Every change there is, in groups of one snapshot, oldest first."""
    group: list[ChangeRow] = []
    async for page in rows.changes(transaction, -1, 2**62):
        for change in page:
            if group and group[0].revision != change.revision:
                yield group
                group = []
            group.append(change)
    if group:
        yield group


def _link(row: SnapshotRow, changes: list[ChangeRow], *, expected: int, link: str) -> None:
    place = f"revision {row.revision}"
    if row.revision != expected:
        raise _tampered(f"revision {expected}", "the snapshot is missing")
    if row.previous_hash != link:
        raise _tampered(place, "it does not continue the one before")
    if row.changed != len(changes) or row.hash != snapshot_hash(row, changes):
        raise _tampered(place, "its hash is another one")


def _fold(state: Bodies, changes: list[ChangeRow]) -> None:
    for change in changes:
        key = change.kind, change.name
        was = state.get(key)
        if (was or (0, None)) != (change.before_revision, change.before):
            raise _tampered(f"revision {change.revision}", f"{change.kind}/{change.name} was another one before")
        if change.after is None:
            state.pop(key, None)
        else:
            state[key] = (change.revision, change.after)


async def _resources(transaction: Transaction, state: Bodies) -> None:
    references: set[tuple[str, str, str, str, str]] = set()
    left = dict(state)
    async for page in rows.all_resources(transaction):
        await transaction.breathe()
        for stored in page:
            if left.pop((stored.kind, stored.name), None) != (stored.revision, stored.body):
                raise _tampered(f"revision {stored.revision}", f"{stored.kind}/{stored.name} is not what was written")
            for reference in references_of(decode(stored.kind, stored.body, stored.revision)):
                references.add((*reference.source, *reference.target, reference.selector))
    if left:
        (kind, name), (revision, _) = min(left.items())
        raise _tampered(f"revision {revision}", f"{kind}/{name} is missing")
    if references != await rows.all_references(transaction):
        raise _tampered("the index of references", "it does not fit the resources")


async def _audit(transaction: Transaction, head: Head) -> None:
    link, last = GENESIS, 0
    while page := await rows.audit(transaction, after=last, limit=PAGE):
        for row in page:
            if row.id != last + 1:
                raise _tampered(f"audit row {last + 1}", "it is missing")
            if row.hash != audit_hash(link, row):
                raise _tampered(f"audit row {row.id}", "its hash is another one")
            link, last = row.hash, row.id
    if (head.audit_id, head.audit_hash) != (last, link):
        raise _tampered(f"audit row {head.audit_id}", f"the head does not continue row {last}")


def _tampered(place: str, problem: str) -> Internal:
    return Internal("registry_tampered", place=place, problem=problem)
