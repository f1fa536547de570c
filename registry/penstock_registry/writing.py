"""Writing: the entries of a commit as rows, inside a transaction that holds the head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from sqlalchemy import Delete, Insert, Table, Update, bindparam, delete, func, insert, update
from sqlalchemy.sql.dml import ReturningUpdate

from penstock_registry.chain import ChangeRow
from penstock_registry.entries import Entries
from penstock_registry.store import Transaction
from penstock_registry.tables import AUDIT, CHANGE, HEAD, REFERENCE, RESOURCE, SNAPSHOT

CHANNEL: Final = "penstock_revision"
"""PostgreSQL's LISTEN/NOTIFY channel; Redis uses the same word."""
Parameters = dict[str, object]


def _insert(table: Table, prefix: str = "") -> Insert:
    return insert(table).values({column: bindparam(prefix + column.name) for column in table.columns})


_UPDATE_RESOURCE: Final = (
    update(RESOURCE)
    .where(RESOURCE.c.kind == bindparam("at_kind"), RESOURCE.c.name == bindparam("at_name"))
    .values(revision=bindparam("at_revision"), body=bindparam("at_body"))
)
_DELETE_RESOURCE: Final = delete(RESOURCE).where(
    RESOURCE.c.kind == bindparam("at_kind"), RESOURCE.c.name == bindparam("at_name")
)
_DELETE_REFERENCES: Final = delete(REFERENCE).where(
    REFERENCE.c.kind == bindparam("at_kind"), REFERENCE.c.name == bindparam("at_name")
)
_UPDATE_HEAD: Final = update(HEAD).values(
    {column: bindparam(f"head_{column.name}") for column in HEAD.c if column.name != "id"}
)
# Delivered by PostgreSQL when, and only if, the transaction commits.
_UPDATE_HEAD_NOTIFYING: Final = _UPDATE_HEAD.returning(func.pg_notify(CHANNEL, bindparam("notice")))


def _at_once(resource: Insert | Update | Delete) -> ReturningUpdate[*tuple[object, ...]]:
    """All rows of a commit that changes one resource, in one statement: the head is held for half as long."""
    return _UPDATE_HEAD_NOTIFYING.add_cte(
        _insert(CHANGE, "change_").cte("put_change"),
        resource.cte("put_resource"),
        _insert(SNAPSHOT, "snapshot_").cte("put_snapshot"),
        _insert(AUDIT, "audit_").cte("put_audit"),
    )


_CREATE_AT_ONCE: Final = _at_once(_insert(RESOURCE, "at_"))
_UPDATE_AT_ONCE: Final = _at_once(_UPDATE_RESOURCE)
_DELETE_AT_ONCE: Final = _at_once(_DELETE_RESOURCE)


async def write(transaction: Transaction, entries: Entries) -> None:
    """Store the entries. On PostgreSQL, who listens hears of a new revision."""
    single = len(entries.changes) == 1 and len(entries.audit) == 1 and not entries.stale and not entries.references
    if single and transaction.postgresql:
        await _write_at_once(transaction, entries)
    else:
        await _write_each(transaction, entries)


async def _write_at_once(transaction: Transaction, entries: Entries) -> None:
    [change] = entries.changes
    parameters = (
        _row(change, "change_")
        | _row(entries.snapshot, "snapshot_")
        | _row(entries.audit[0], "audit_")
        | _row(entries.head, "head_")
        | {"at_kind": change.kind, "at_name": change.name, "notice": str(entries.head.revision)}
    )
    if change.after is None:
        await transaction.rows(_DELETE_AT_ONCE, parameters)
        return
    parameters |= _at(change)
    await transaction.rows(_CREATE_AT_ONCE if change.before is None else _UPDATE_AT_ONCE, parameters)


async def _write_each(transaction: Transaction, entries: Entries) -> None:
    changes = entries.changes
    await transaction.run(_insert(CHANGE), map(_row, changes))
    await transaction.run(_insert(RESOURCE, "at_"), (_at(c) for c in changes if c.before is None))
    await transaction.run(_UPDATE_RESOURCE, (_at(c) for c in changes if c.before is not None and c.after is not None))
    await transaction.run(_DELETE_RESOURCE, _places((c.kind, c.name) for c in changes if c.after is None))
    await transaction.run(_DELETE_REFERENCES, _places(entries.stale))
    names = [column.name for column in REFERENCE.columns]
    await transaction.run(_insert(REFERENCE), (dict(zip(names, row, strict=True)) for row in entries.references))
    if entries.snapshot is not None:
        await transaction.run(_insert(SNAPSHOT), [_row(entries.snapshot)])
    await transaction.run(_insert(AUDIT), map(_row, entries.audit))
    head = _row(entries.head, "head_")
    if transaction.postgresql:
        await transaction.rows(_UPDATE_HEAD_NOTIFYING, head | {"notice": str(entries.head.revision)})
    else:
        await transaction.run(_UPDATE_HEAD, [head])


def _row(row: msgspec.Struct | None, prefix: str = "") -> Parameters:
    return {} if row is None else {prefix + name: value for name, value in msgspec.structs.asdict(row).items()}


def _places(keys: Iterable[tuple[str, str]]) -> Iterator[Parameters]:
    return ({"at_kind": kind, "at_name": name} for kind, name in keys)


def _at(change: ChangeRow) -> Parameters:
    return {
        "at_kind": change.kind,
        "at_name": change.name,
        "at_revision": change.revision,
        "at_body": change.after,
    }
