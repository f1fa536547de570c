"""The registry at one revision, as a value; and the changes that lead from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from penstock_registry.kinds import Kind, Resource

Key = tuple[Kind, str]


class Change(msgspec.Struct, frozen=True):
    """One resource before and after. before None = created, after None = deleted."""

    key: Key
    before: Resource | None
    after: Resource | None


class SnapshotInfo(msgspec.Struct, frozen=True):
    """What is known about a revision: who, why, when, and its link of the hash chain (sha256, hex)."""

    revision: int
    author: str
    reason: str
    created_at: datetime
    changed: int
    """Resources changed."""
    hash: str
    previous_hash: str


class Snapshot(msgspec.Struct, frozen=True):
    """Every resource at `revision`. A value: `with_changes` makes a new one and shares what did not change."""

    revision: int = 0
    resources: Mapping[Key, Resource] = MappingProxyType({})

    def of(self, kind: Kind) -> list[Resource]:
        """The resources of one kind, sorted by name."""
        return [self.resources[key] for key in sorted(key for key in self.resources if key[0] == kind)]

    def get(self, kind: Kind, name: str) -> Resource | None:
        return self.resources.get((kind, name))

    def with_changes(self, revision: int, changes: Iterable[Change]) -> Snapshot:
        """The snapshot after `changes`; only the resources' latest state counts."""
        resources = _copied(self.resources)
        for change in changes:
            if change.after is None:
                resources.pop(change.key, None)
            else:
                resources[change.key] = change.after
        return Snapshot(revision, MappingProxyType(resources))


def _copied(resources: Mapping[Key, Resource]) -> dict[Key, Resource]:
    """A proxy's own copy takes 0.1 ms for 25,000 resources; dict(proxy) asks it key by key, which takes 2.5 ms."""
    return resources.copy() if isinstance(resources, MappingProxyType) else dict(resources)
