"""The registry: what there is, its whole history, and the one way to change it.

A write locks the head, compares what it expected with what it finds, checks references, and appends: the changes, a
numbered snapshot in a hash chain, an audit row. All of it or nothing. Reading never waits for writers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Self, TypeVar

import msgspec

from penstock_adapters.protocol.errors import InvalidArgument, NotFound, PenstockError, Unavailable
from penstock_registry import loading, migrate, rows, verify
from penstock_registry.audit import Denials
from penstock_registry.chain import AuditRow
from penstock_registry.commit import Attempt, Done, EditsOf, commit, examine
from penstock_registry.entries import audited, now_text
from penstock_registry.kinds import Resource
from penstock_registry.manifest import decode, name_of
from penstock_registry.plan import Edit, Expectation, Outcome, Prepared, check_edits, listed, prepare
from penstock_registry.rows import Head
from penstock_registry.snapshot import Change, Key, Snapshot, SnapshotInfo
from penstock_registry.store import Bounds, Store, Transaction
from penstock_registry.writing import write

__all__ = ["AuditRow", "Bounds", "Edit", "Outcome", "Registry", "WriteResult"]

AUTHOR_MAX: Final = 256
REASON_MAX: Final = 4096
LISTED_MAX: Final = 1000
"""Snapshots or audit rows in one answer."""
SLICE: Final = 200
"""Resources encoded before the event loop gets a turn."""
T = TypeVar("T")


class WriteResult(msgspec.Struct, frozen=True):
    """What a write did. Nothing changed -> the revision stayed."""

    revision: int
    outcomes: tuple[Outcome, ...]
    """One for each edit, in their order. A delete of what is not there is `unchanged`."""


class Registry:
    """The only writer. One per process."""

    def __init__(
        self,
        url: str,
        *,
        upgrade: bool = True,
        announce: Callable[[int], None] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """Connects to nothing yet: the first call does, and upgrades the schema if it may.

        `announce` is called with the new revision after each commit of this process; it must return at once.
        Raises InvalidArgument if the URL is none of ours.
        """
        self._store = Store(url, bounds or Bounds())
        self._upgrade = upgrade
        self._announce = announce
        self._schema_known = False
        self._view: loading.View | None = None
        self._denials = Denials(time.monotonic)

    @classmethod
    async def open(cls, url: str, *, upgrade: bool = True, announce: Callable[[int], None] | None = None) -> Self:
        """A registry whose database answers and has the right schema.

        Raises Unavailable("store_unavailable"); ("schema_outdated") if `upgrade` is false and there is something to do.
        A process that must start without its database constructs the registry instead, and lets `Watch` try.
        """
        registry = cls(url, upgrade=upgrade, announce=announce)
        try:
            await registry._ready()
        except PenstockError:
            await registry.aclose()
            raise
        return registry

    async def aclose(self) -> None:
        """Write down gathered denials if the database answers, and close every connection. Twice is fine."""
        if self._schema_known:
            with suppress(Unavailable):
                await self._flush_denials()
        await self._store.aclose()

    # -- reading --

    async def head(self) -> int:
        """The current revision. Raises Unavailable."""
        return (await self._read(rows.head)).revision

    async def snapshot(self, revision: int | None = None) -> Snapshot:
        """The whole registry, now or as of a revision. What did not change since the last call is not read again.

        Raises Unavailable, NotFound("snapshot_not_found").
        """
        if revision is not None:
            return await self._read(lambda transaction: loading.at(transaction, revision))
        return (await self.view()).snapshot

    async def view(self) -> loading.View:
        """The snapshot of now, and its place in history. Raises Unavailable."""
        view = await self._read(lambda transaction: loading.advance(transaction, self._view))
        # Several may have read at once: the newest is kept, and each caller gets what it read itself.
        if self._view is None or view.head >= self._view.head:
            self._view = view
        return view

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        """(the current revision, what is different from revision `since`). Raises Unavailable, NotFound."""

        async def read(transaction: Transaction) -> tuple[int, list[Change]]:
            newest = (await rows.head(transaction)).revision
            if not 0 <= since <= newest:
                raise NotFound("snapshot_not_found", revision=since, newest=newest)
            return newest, await loading.net_changes(transaction, since, newest)

        return await self._read(read)

    async def history(self, *, limit: int = 50, before: int | None = None) -> list[SnapshotInfo]:
        """Snapshots, newest first; the next page with `before` = the last revision of this one. Raises Unavailable."""
        bound = 2**62 if before is None else before
        found = await self._read(
            lambda transaction: rows.newest_snapshots(transaction, before=bound, limit=min(limit, LISTED_MAX))
        )
        return [loading.info(row) for row in found]

    async def diff(self, revision: int) -> list[Change]:
        """What a snapshot changed, sorted by key. Raises Unavailable, NotFound("snapshot_not_found")."""

        async def read(transaction: Transaction) -> list[Change]:
            newest = (await rows.head(transaction)).revision
            if not 1 <= revision <= newest:
                raise NotFound("snapshot_not_found", revision=revision, newest=newest)
            return await loading.net_changes(transaction, revision - 1, revision)

        return await self._read(read)

    async def audit(self, *, limit: int = 100) -> list[AuditRow]:
        """The last attempts to change something, newest first. Raises Unavailable."""
        await self._ready()
        await self._flush_denials()
        return await self._read(lambda transaction: rows.newest_audit(transaction, limit=min(limit, LISTED_MAX)))

    async def verify(self) -> None:
        """Check both hash chains and everything derived. Raises Internal("registry_tampered") naming the place."""
        await self._read(verify.verify)

    # -- writing --

    async def write(
        self,
        edits: Sequence[Edit],
        *,
        author: str,
        reason: str = "",
        expected: Mapping[Key, int] | None = None,
        expected_revision: int | None = None,
        dry_run: bool = False,
    ) -> WriteResult:
        """Make every edit, or none, as one snapshot.

        `expected` compares and sets: the revision each resource must have (0 = must not exist yet);
        `expected_revision` the whole registry's. A dry run checks all of it and writes nothing.

        Raises Conflict("revision_conflict", "registry_conflict") when somebody was faster; InvalidArgument
        ("reference_missing", "reference_in_use", "manifest_invalid", "too_long"), TooLarge; Unavailable
        ("store_unavailable", "store_busy"): nothing was changed. After Unavailable("write_outcome_unknown") the
        connection broke during the commit: the write may or may not have happened, and is never reported as done.
        """
        check_edits(edits)
        prepared: list[Prepared] = []
        for index, edit in enumerate(edits):
            prepared.append(prepare(edit))
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)

        async def given(_: Transaction, __: Head) -> Sequence[Prepared]:
            return prepared

        attempt = Attempt(
            author,
            reason,
            "write",
            listed([name_of(edit.key) for edit in edits]),
            Expectation(expected or {}, expected_revision),
        )
        if dry_run:
            return await self._examine(attempt, given)
        return await self._commit(attempt, given)

    async def update(
        self,
        key: Key,
        change: Callable[[Resource], Resource],
        *,
        author: str,
        reason: str = "",
        expected: int | None = None,
    ) -> WriteResult:
        """Read, modify, write without a gap: `change` runs while no one else can write, so no update is lost.

        `change` must be quick and pure: it may run again if the database made this attempt wait too long.
        Raises what `write` raises, and NotFound("resource_not_found").
        """

        async def changed(transaction: Transaction, _: Head) -> Sequence[Prepared]:
            stored = (await rows.resources(transaction, [key])).get(key)
            if stored is None:
                raise NotFound("resource_not_found", kind=key[0], name=key[1])
            return [prepare(Edit(key, change(decode(stored.kind, stored.body, stored.revision))))]

        expectation = Expectation({} if expected is None else {key: expected})
        return await self._commit(Attempt(author, reason, "update", name_of(key), expectation), changed)

    async def rollback(self, to: int, *, author: str, reason: str = "") -> WriteResult:
        """A new snapshot equal to snapshot `to`. Raises what `write` raises, and NotFound("snapshot_not_found")."""

        async def reverted(transaction: Transaction, head: Head) -> Sequence[Prepared]:
            if not 0 <= to <= head.revision:
                raise NotFound("snapshot_not_found", revision=to, newest=head.revision)
            bodies = await loading.bodies_at(transaction, to, head.revision)
            prepared: list[Prepared] = []
            for key, (body, revision) in sorted(bodies.items()):
                prepared.append(Prepared(key, None if body is None else decode(key[0], body, revision), body))
                if len(prepared) % SLICE == 0:
                    await transaction.breathe()
            return prepared

        reason = reason or f"rollback to {to}"
        return await self._commit(Attempt(author, reason, "rollback", f"registry@{to}"), reverted)

    async def new_epoch(self, *, author: str, reason: str) -> int:
        """Declare this database's history the valid one, whatever others have seen: after a restore or a failover.

        Gateways refuse a history that does not continue theirs until its epoch is higher. Returns the epoch.
        """
        attempt = Attempt(author, reason, "epoch", "registry")
        _check_words(attempt)

        async def raised(transaction: Transaction) -> int:
            head = await rows.head(transaction, lock=True)
            head = msgspec.structs.replace(head, epoch=head.epoch + 1)
            row = AuditRow(
                0,
                now_text(),
                author,
                attempt.action,
                attempt.target,
                expected=reason,
                found=f"epoch {head.epoch - 1}",
                result="ok",
                before=head.revision,
                after=head.revision,
            )
            await write(transaction, audited(head, [row]))
            return head.epoch

        await self._ready()
        return await self._store.write(raised)

    async def denied(self, *, author: str, action: str, target: str) -> None:
        """Remember that somebody was not allowed to. Alike denials are one row with a count; a full book loses none."""
        if self._denials.add(author, action, target):
            with suppress(Unavailable):
                await self._ready()
                await self._flush_denials()

    # -- inside --

    async def _ready(self) -> None:
        if not self._schema_known:
            await migrate.ensure(self._store, upgrade=self._upgrade)
            self._schema_known = True

    async def _read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        await self._ready()
        return await self._store.read(work)

    async def _commit(self, attempt: Attempt, edits_of: EditsOf) -> WriteResult:
        _check_words(attempt)
        await self._ready()
        denials = self._denials.take()
        try:
            done = await self._store.write(lambda transaction: commit(transaction, attempt, edits_of, denials))
        except BaseException:
            self._denials.put_back(denials)
            raise
        if done.advanced and self._announce is not None:
            self._announce(done.revision)
        return _result(done)

    async def _examine(self, attempt: Attempt, edits_of: EditsOf) -> WriteResult:
        _check_words(attempt)

        async def examined(transaction: Transaction) -> Done:
            head = await rows.head(transaction)
            plan = await examine(transaction, head, attempt, edits_of)
            return Done(head.revision, plan.outcomes, plan.error)

        return _result(await self._read(examined))

    async def _flush_denials(self) -> None:
        denials = self._denials.take()
        if not denials:
            return

        async def written(transaction: Transaction) -> None:
            await write(transaction, audited(await rows.head(transaction, lock=True), denials))

        try:
            await self._store.write(written)
        except BaseException:
            self._denials.put_back(denials)
            raise


def _result(done: Done) -> WriteResult:
    if done.error is not None:
        raise done.error
    return WriteResult(done.revision, done.outcomes)


def _check_words(attempt: Attempt) -> None:
    """Author and reason go into a hash and into two databases: short, and text that all of them can carry."""
    for where, words, limit in (("author", attempt.author, AUTHOR_MAX), ("reason", attempt.reason, REASON_MAX)):
        if len(words) > limit:
            raise InvalidArgument("too_long", what=where, size=len(words), limit=limit)
        if any(ch != "\n" and not ch.isprintable() for ch in words):
            raise InvalidArgument("manifest_invalid", where=where, problem="must not contain control characters")
    if not attempt.author:
        raise InvalidArgument("manifest_invalid", where="author", problem="must not be empty")
