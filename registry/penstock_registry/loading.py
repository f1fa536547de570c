"""Stored rows -> snapshots and changes, in slices short enough for an event loop that serves predictions meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from penstock_adapters.protocol.errors import NotFound, Unavailable
from penstock_registry import rows
from penstock_registry.chain import ChangeRow, SnapshotRow
from penstock_registry.kinds import Resource
from penstock_registry.manifest import decode, kind_of
from penstock_registry.rows import Head, Stored
from penstock_registry.snapshot import Change, Key, Snapshot, SnapshotInfo
from penstock_registry.store import Transaction
from penstock_registry.trail import Trail

_T = TypeVar("_T")

SLICE: Final = 200
"""Resources parsed before others get a turn: about 3 ms."""


class View(msgspec.Struct, frozen=True):
    """A snapshot and the place in history it was read at."""

    head: Head
    snapshot: Snapshot
    trail: Trail
    """Shared by all views of one history."""


async def advance(transaction: Transaction, known: View | None) -> View:
    """The registry now. With a known view only the changes since are read, and they must continue its history.

    Raises Unavailable("registry_diverged") if they do not: an old primary that came back, or a restored backup.
    """
    head = await rows.head(transaction)
    if known is None or head.epoch > known.head.epoch:
        snapshot = await _whole(transaction, head.revision, rows.all_resources(transaction))
        return View(head, snapshot, Trail(head.revision))
    await _same_history(transaction, head, known.head)
    if head.revision == known.head.revision:
        return View(head, known.snapshot, known.trail)
    steps: list[tuple[int, Key]] = []
    last: dict[tuple[str, str], ChangeRow] = {}
    async for page in rows.changes(transaction, known.head.revision, head.revision):
        last.update(((change.kind, change.name), change) for change in page)
        steps += ((change.revision, (kind_of(change.kind), change.name)) for change in page)
    known.trail.extend(head.revision, steps)
    # Only the last change of each resource is parsed: a storm of promotes costs one.
    changes = [
        Change((kind_of(row.kind), row.name), None, _after(row))
        async for row in _sliced(transaction, list(last.values()))
    ]
    return View(head, known.snapshot.with_changes(head.revision, changes), known.trail)


async def at(transaction: Transaction, revision: int) -> Snapshot:
    """The registry as of a revision. Raises NotFound."""
    newest = (await rows.head(transaction)).revision
    if not 0 <= revision <= newest:
        raise NotFound("snapshot_not_found", revision=revision, newest=newest)
    return await _whole(transaction, revision, rows.resources_at(transaction, revision))


async def net_changes(transaction: Transaction, since: int, until: int) -> list[Change]:
    """What is different at `until` compared with `since`: at most one change for each resource, sorted by key."""
    first: dict[tuple[str, str], ChangeRow] = {}
    last: dict[tuple[str, str], ChangeRow] = {}
    async for page in rows.changes(transaction, since, until):
        for change in page:
            first.setdefault((change.kind, change.name), change)
            last[change.kind, change.name] = change
    kept = [key for key in sorted(last) if first[key].before is not None or last[key].after is not None]
    return [
        Change((kind_of(key[0]), key[1]), _before(first[key]), _after(last[key]))
        async for key in _sliced(transaction, kept)
    ]


async def bodies_at(transaction: Transaction, since: int, until: int) -> dict[Key, tuple[str | None, int]]:
    """For everything that changed after `since`: the body it had then (None = it did not exist) and its revision."""
    found: dict[Key, tuple[str | None, int]] = {}
    async for page in rows.changes(transaction, since, until):
        for change in page:
            found.setdefault((kind_of(change.kind), change.name), (change.before, change.before_revision))
    return found


def info(row: SnapshotRow) -> SnapshotInfo:
    return SnapshotInfo(
        revision=row.revision,
        author=row.author,
        reason=row.reason,
        created_at=datetime.fromisoformat(row.created_at),
        changed=row.changed,
        hash=row.hash,
        previous_hash=row.previous_hash,
    )


async def _same_history(transaction: Transaction, head: Head, known: Head) -> None:
    if head.epoch == known.epoch:
        if head.revision == known.revision and head.hash == known.hash:
            return
        following = await rows.snapshots(transaction, after=known.revision, limit=1)
        if head.revision > known.revision and following and following[0].previous_hash == known.hash:
            return
    raise Unavailable("registry_diverged", found=head.revision, epoch=head.epoch, seen=known.revision)


async def _whole(transaction: Transaction, revision: int, pages: AsyncIterator[list[Stored]]) -> Snapshot:
    resources: dict[Key, Resource] = {}
    async for page in pages:
        async for stored in _sliced(transaction, page):
            resource = decode(stored.kind, stored.body, stored.revision)
            resources[resource.key] = resource
    return Snapshot(revision, MappingProxyType(resources))


async def _sliced(transaction: Transaction, items: Sequence[_T]) -> AsyncIterator[_T]:
    for start in range(0, len(items), SLICE):
        for item in items[start : start + SLICE]:
            yield item
        await transaction.breathe()


def _before(row: ChangeRow) -> Resource | None:
    return None if row.before is None else decode(row.kind, row.before, row.before_revision)


def _after(row: ChangeRow) -> Resource | None:
    return None if row.after is None else decode(row.kind, row.after, row.revision)
