"""One attempt to change the registry, inside one transaction: lock, decide, write, audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from penstock_adapters.protocol.errors import Conflict, InvalidArgument, NotFound, PenstockError
from penstock_registry import rows
from penstock_registry.chain import AuditRow
from penstock_registry.entries import audited, committed, now_text
from penstock_registry.manifest import decode
from penstock_registry.plan import Expectation, Outcome, Plan, Prepared, decide, joined, lost, references_after
from penstock_registry.references import Reference, in_use, missing, offers, references_of, withdrawn
from penstock_registry.rows import Head, Stored
from penstock_registry.snapshot import Key
from penstock_registry.store import Transaction
from penstock_registry.writing import write

SLICE: Final = 200
"""Resources compared before the event loop gets a turn."""

EditsOf = Callable[[Transaction, Head], Awaitable[Sequence[Prepared]]]
"""The edits, decided while nobody else can write. May raise InvalidArgument or NotFound: then nothing is written."""


class Attempt(msgspec.Struct, frozen=True):
    """Who tries to do what, and why: the part of an audit row that is known beforehand."""

    author: str
    reason: str
    action: str
    target: str
    expectation: Expectation = Expectation()


class Done(msgspec.Struct, frozen=True):
    """What came of it. With an `error`, nothing changed but the audit."""

    revision: int
    outcomes: tuple[Outcome, ...] = ()
    error: PenstockError | None = None
    advanced: bool = False
    """Is there a new snapshot?"""


async def commit(transaction: Transaction, attempt: Attempt, edits_of: EditsOf, denials: Sequence[AuditRow]) -> Done:
    """Lock the head, decide and write. A lost race and a refusal are committed too: as an audit row."""
    head = await rows.head(transaction, lock=True)
    plan = await examine(transaction, head, attempt, edits_of)
    advanced = plan.error is None and bool(plan.changes)
    row = AuditRow(
        0,
        now_text(),
        attempt.author,
        attempt.action,
        attempt.target,
        expected=str(attempt.expectation),
        found=plan.found,
        result=_result(plan),
        before=head.revision,
        after=head.revision + advanced,
    )
    audit = [*denials, row]
    if advanced:
        make = partial(committed, head, plan, audit, author=attempt.author, reason=attempt.reason)
        entries = make() if len(plan.changes) <= SLICE else await transaction.compute(make)
    else:
        entries = audited(head, audit)
    await write(transaction, entries)
    return Done(entries.head.revision, plan.outcomes, plan.error, advanced=advanced)


async def examine(transaction: Transaction, head: Head, attempt: Attempt, edits_of: EditsOf) -> Plan:
    """What the attempt would do to the registry as this transaction sees it. Writes nothing."""
    try:
        edits = await edits_of(transaction, head)
    except (InvalidArgument, NotFound) as error:
        return Plan(error=error)
    keys: set[Key] = {edit.key for edit in edits} | set(attempt.expectation.resources)
    for index, edit in enumerate(edits):
        keys.update(reference.target for reference in references_of(edit.resource))
        if index % SLICE == SLICE - 1:
            await transaction.breathe()
    stored = await rows.resources(transaction, sorted(keys))
    race = lost(attempt.expectation, stored, head.revision)
    if race is not None:
        return race
    parts: list[Plan] = []
    for start in range(0, len(edits), SLICE):
        parts.append(decide(edits[start : start + SLICE], stored))
        await transaction.breathe()
    plan = joined(parts)
    errors = await _broken(transaction, plan, stored)
    return msgspec.structs.replace(plan, error=errors[0]) if errors else plan


async def _broken(transaction: Transaction, plan: Plan, stored: dict[Key, Stored]) -> list[InvalidArgument]:
    """References the plan would leave without their target."""
    after = {change.key: change.after for change in plan.changes}
    references: list[Reference] = []
    for start in range(0, len(plan.changes), SLICE):
        references += references_after(plan.changes[start : start + SLICE])
        await transaction.breathe()
    offered: dict[Key, frozenset[str]] = {}
    for index, target in enumerate(sorted({reference.target for reference in references})):
        if target in after:
            offered[target] = offers(after[target])
        elif target in stored:
            offered[target] = offers(decode(target[0], stored[target].body, stored[target].revision))
        if index % SLICE == 0:
            await transaction.breathe()
    errors = missing(references, offered)
    gone: dict[Key, frozenset[str]] = {}
    for start in range(0, len(plan.changes), SLICE):
        gone |= withdrawn(plan.changes[start : start + SLICE])
        await transaction.breathe()
    if errors or not gone:
        return errors
    users = await rows.users(transaction, sorted(gone))
    return in_use(gone, [user for user in users if user.source not in after])


def _result(plan: Plan) -> str:
    if plan.error is not None:
        return "conflict" if isinstance(plan.error, Conflict) else "refused"
    return "ok" if plan.changes else "unchanged"
