"""The hash chain: every snapshot and every audit row carries the SHA-256 of itself and of the one before it.

hash = sha256(previous hash + canonical JSON), JSON with sorted keys and without spaces. Stored bodies enter as the text
that is stored, so a single changed character breaks the chain from that row on.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
import orjson

GENESIS: Final = "0" * 64
"""The link before the first."""


class ChangeRow(msgspec.Struct, frozen=True):
    """One stored change: bodies are canonical manifests, None = there was or is no such resource."""

    revision: int
    kind: str
    name: str
    before_revision: int
    """The snapshot that had changed the resource last; 0 if there was none."""
    before: str | None
    after: str | None


class SnapshotRow(msgspec.Struct, frozen=True):
    """One stored snapshot, without its changes. `created_at` is ISO 8601 in UTC, kept as text so that it hashes exactly."""

    revision: int
    author: str
    reason: str
    created_at: str
    changed: int
    previous_hash: str
    hash: str = ""


class AuditRow(msgspec.Struct, frozen=True):
    """One attempt to change something, whatever came of it. `count` > 1: so many alike, written down together."""

    id: int
    at: str
    author: str
    action: str
    """write, update, rollback, epoch, or what was denied."""
    target: str
    """The resources, as Kind/name; long lists are cut."""
    expected: str
    found: str
    result: str
    """ok, unchanged, conflict, refused or denied."""
    before: int
    """The registry's revision before the attempt,"""
    after: int
    """and after it; equal if nothing changed."""
    count: int = 1
    hash: str = ""


def snapshot_hash(row: SnapshotRow, changes: Sequence[ChangeRow]) -> str:
    """The link of a snapshot: over who, why, when and every change, in the order of kind and name."""
    ordered = sorted(changes, key=lambda change: (change.kind, change.name))
    document = {
        "author": row.author,
        "changes": [[c.kind, c.name, c.before_revision, _fragment(c.before), _fragment(c.after)] for c in ordered],
        "created_at": row.created_at,
        "reason": row.reason,
        "revision": row.revision,
    }
    return _link(row.previous_hash, document)


def audit_hash(previous: str, row: AuditRow) -> str:
    """The link of an audit row: over every field but the link itself."""
    fields = {name: value for name, value in msgspec.structs.asdict(row).items() if name != "hash"}
    return _link(previous, fields)


def _link(previous: str, document: object) -> str:
    return sha256(previous.encode() + orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _fragment(body: str | None) -> object:
    return None if body is None else orjson.Fragment(body)
