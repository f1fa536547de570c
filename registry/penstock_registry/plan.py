"""What a write would do, decided on values: who lost the race, what changes, what stays. No database here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from penstock_adapters.protocol.errors import Conflict, InvalidArgument, PenstockError, TooLarge
from penstock_registry.kinds import Resource
from penstock_registry.manifest import decode, encode, name_of
from penstock_registry.references import Reference, references_of
from penstock_registry.rows import Stored
from penstock_registry.snapshot import Change, Key

Outcome = Literal["created", "updated", "unchanged", "deleted"]
EDITS_MAX: Final = 200_000
NAMED_MAX: Final = 5
"""Resources named in an audit row; the others are counted."""


class Edit(msgspec.Struct, frozen=True):
    """What a resource shall be; None deletes it. Its `revision` is not looked at: see `expected` of Registry.write."""

    key: Key
    resource: Resource | None


class Prepared(msgspec.Struct, frozen=True):
    """An edit with the text that would be stored."""

    key: Key
    resource: Resource | None
    body: str | None


class Expectation(msgspec.Struct, frozen=True):
    """Compare-and-set: what the caller last saw. 0 = must not exist."""

    resources: Mapping[Key, int] = {}
    revision: int | None = None

    def __str__(self) -> str:
        whole = [] if self.revision is None else [f"registry@{self.revision}"]
        return listed([*whole, *(f"{name_of(key)}@{seen}" for key, seen in self.resources.items())])


class Plan(msgspec.Struct, frozen=True):
    """The decision. `error` = nothing may be written but the audit row that says so."""

    changes: tuple[Change, ...] = ()
    bodies: tuple[tuple[str | None, str | None], ...] = ()
    """Before and after of each change, as stored."""
    outcomes: tuple[Outcome, ...] = ()
    error: PenstockError | None = None
    found: str = ""
    """What a failed expectation met."""


def prepare(edit: Edit) -> Prepared:
    """Raises InvalidArgument if the resource is another one than the key says, or too large to store."""
    if edit.resource is None:
        return Prepared(edit.key, None, None)
    if edit.resource.key != edit.key:
        problem = f"the resource is {name_of(edit.resource.key)}"
        raise InvalidArgument("manifest_invalid", where=name_of(edit.key), problem=problem)
    return Prepared(edit.key, edit.resource, encode(edit.resource))


def check_edits(edits: Sequence[Edit]) -> None:
    """Raises TooLarge or InvalidArgument: too many at once, or two for one resource, whose order would decide."""
    if len(edits) > EDITS_MAX:
        raise TooLarge("too_many", count=len(edits), what="resources in one write", limit=EDITS_MAX)
    seen: set[Key] = set()
    for edit in edits:
        if edit.key in seen:
            raise InvalidArgument("manifest_invalid", where=name_of(edit.key), problem="is listed twice")
        seen.add(edit.key)


def lost(expectation: Expectation, stored: Mapping[Key, Stored], revision: int) -> Plan | None:
    """The plan of a lost race, or None if everything is as expected."""
    if expectation.revision is not None and expectation.revision != revision:
        error: PenstockError = Conflict("registry_conflict", found=revision, expected=expectation.revision)
        return Plan(error=error, found=f"registry@{revision}")
    for key, expected in expectation.resources.items():
        found = stored[key].revision if key in stored else 0
        if found != expected:
            error = Conflict("revision_conflict", kind=key[0], name=key[1], found=found, expected=expected)
            return Plan(error=error, found=f"{name_of(key)}@{found}")
    return None


def decide(edits: Sequence[Prepared], stored: Mapping[Key, Stored]) -> Plan:
    """What the edits change. Equal text is no change: applying the same manifest twice is unchanged."""
    changes: list[Change] = []
    bodies: list[tuple[str | None, str | None]] = []
    outcomes: list[Outcome] = []
    for edit in edits:
        was = stored.get(edit.key)
        before = None if was is None else was.body
        if before == edit.body:
            outcomes.append("unchanged")
            continue
        outcomes.append("created" if was is None else "updated" if edit.body is not None else "deleted")
        resource = None if was is None else decode(was.kind, was.body, was.revision)
        changes.append(Change(edit.key, resource, edit.resource))
        bodies.append((before, edit.body))
    return Plan(tuple(changes), tuple(bodies), tuple(outcomes))


def joined(plans: Sequence[Plan]) -> Plan:
    """The plans of consecutive slices, as one."""
    return Plan(
        tuple(change for plan in plans for change in plan.changes),
        tuple(pair for plan in plans for pair in plan.bodies),
        tuple(outcome for plan in plans for outcome in plan.outcomes),
    )


def references_after(changes: Sequence[Change]) -> list[Reference]:
    """What the changed resources will refer to."""
    return [reference for change in changes for reference in references_of(change.after)]


def listed(names: Sequence[str]) -> str:
    """`a, b and 3 more`: texts stay short however many there are."""
    shown = ", ".join(names[:NAMED_MAX])
    return f"{shown} and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else shown
