"""Reading: the rows of an open transaction, as values. Long reads go page by page, so the event loop keeps turning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import ARRAY, Column, ColumnElement, Text, any_, bindparam, func, select, tuple_
from sqlalchemy import cast as sql_cast

from penstock_adapters.protocol.errors import Unavailable
from penstock_registry.chain import AuditRow, ChangeRow, SnapshotRow
from penstock_registry.manifest import kind_of
from penstock_registry.references import Reference
from penstock_registry.snapshot import Key
from penstock_registry.store import Transaction
from penstock_registry.tables import AUDIT, CHANGE, HEAD, REFERENCE, RESOURCE, SNAPSHOT

PAGE: Final = 1000


class Head(msgspec.Struct, frozen=True, order=True):
    """The end of both chains. A higher epoch outranks any revision: an administrator declared a new history."""

    epoch: int
    revision: int
    hash: str
    audit_id: int
    audit_hash: str


class Stored(msgspec.Struct, frozen=True):
    """A resource as it is stored."""

    kind: str
    name: str
    revision: int
    body: str


_HEAD: Final = select(HEAD.c.epoch, HEAD.c.revision, HEAD.c.hash, HEAD.c.audit_id, HEAD.c.audit_hash)
_HEAD_LOCKED: Final = _HEAD.with_for_update()
_RESOURCE: Final = select(RESOURCE.c.kind, RESOURCE.c.name, RESOURCE.c.revision, RESOURCE.c.body)
_CHANGE: Final = select(
    CHANGE.c.revision, CHANGE.c.kind, CHANGE.c.name, CHANGE.c.before_revision, CHANGE.c.before, CHANGE.c.after
)
_SNAPSHOT: Final = select(
    SNAPSHOT.c.revision,
    SNAPSHOT.c.author,
    SNAPSHOT.c.reason,
    SNAPSHOT.c.created_at,
    SNAPSHOT.c.changed,
    SNAPSHOT.c.previous_hash,
    SNAPSHOT.c.hash,
)
_AUDIT: Final = select(*(AUDIT.c[name] for name in AuditRow.__struct_fields__))


async def head(transaction: Transaction, *, lock: bool = False) -> Head:
    """The head; with `lock`, no other writer gets it before this transaction ends. Raises Unavailable."""
    rows = await transaction.rows(_HEAD_LOCKED if lock else _HEAD)
    if not rows:
        raise Unavailable("store_unavailable")
    return Head(*rows[0])


async def all_resources(transaction: Transaction) -> AsyncIterator[list[Stored]]:
    """Everything there is, a page at a time."""
    last: tuple[str, str] = ("", "")
    while True:
        after = tuple_(RESOURCE.c.kind, RESOURCE.c.name) > tuple_(bindparam("kind"), bindparam("name"))
        statement = _RESOURCE.where(after).order_by(RESOURCE.c.kind, RESOURCE.c.name).limit(PAGE)
        page = [Stored(*row) for row in await transaction.rows(statement, {"kind": last[0], "name": last[1]})]
        if page:
            yield page
        if len(page) < PAGE:
            return
        last = page[-1].kind, page[-1].name


async def resources(transaction: Transaction, keys: Iterable[Key]) -> dict[Key, Stored]:
    """Those of the keys that exist."""
    found: dict[Key, Stored] = {}
    for kind, names in _by_kind(keys).items():
        statement = _RESOURCE.where(RESOURCE.c.kind == bindparam("kind"), _among(RESOURCE.c.name, transaction))
        for page in _pages(names):
            rows = await transaction.rows(statement, {"kind": kind, "names": _names(page, transaction)})
            found.update(((kind_of(row[0]), row[1]), Stored(*row)) for row in rows)
    return found


async def users(transaction: Transaction, keys: Iterable[Key]) -> list[Reference]:
    """The stored references to any of the keys."""
    found: list[Reference] = []
    columns = (REFERENCE.c.kind, REFERENCE.c.name, REFERENCE.c.target_kind, REFERENCE.c.target_name)
    for kind, names in _by_kind(keys).items():
        among = _among(REFERENCE.c.target_name, transaction)
        statement = select(*columns, REFERENCE.c.selector).where(REFERENCE.c.target_kind == bindparam("kind"), among)
        for page in _pages(names):
            rows = await transaction.rows(statement, {"kind": kind, "names": _names(page, transaction)})
            found.extend(Reference((kind_of(a), b), (kind_of(c), d), e) for a, b, c, d, e in rows)
    return found


async def all_references(transaction: Transaction) -> set[tuple[str, str, str, str, str]]:
    """Every stored reference: kind, name, target kind, target name, selector."""
    statement = select(*(REFERENCE.c[name] for name in ("kind", "name", "target_kind", "target_name", "selector")))
    return {(a, b, c, d, e) for a, b, c, d, e in await transaction.rows(statement)}


async def changes(transaction: Transaction, after: int, until: int) -> AsyncIterator[list[ChangeRow]]:
    """The changes of the snapshots after < revision <= until, oldest first, a page at a time."""
    place: dict[str, object] = {"revision": after + 1, "kind": "", "name": "", "until": until}
    beyond = tuple_(CHANGE.c.revision, CHANGE.c.kind, CHANGE.c.name) > tuple_(
        bindparam("revision"), bindparam("kind"), bindparam("name")
    )
    statement = _CHANGE.where(beyond, CHANGE.c.revision <= bindparam("until"))
    statement = statement.order_by(CHANGE.c.revision, CHANGE.c.kind, CHANGE.c.name).limit(PAGE)
    while True:
        page = [ChangeRow(*row) for row in await transaction.rows(statement, place)]
        if page:
            yield page
        if len(page) < PAGE:
            return
        place |= {"revision": page[-1].revision, "kind": page[-1].kind, "name": page[-1].name}


async def resources_at(transaction: Transaction, revision: int) -> AsyncIterator[list[Stored]]:
    """Everything there was at a revision: each resource's last change up to then, unless that deleted it."""
    place: dict[str, object] = {"revision": revision, "kind": "", "name": ""}
    latest = (
        select(CHANGE.c.kind, CHANGE.c.name, func.max(CHANGE.c.revision).label("revision"))
        .where(CHANGE.c.revision <= bindparam("revision"))
        .where(tuple_(CHANGE.c.kind, CHANGE.c.name) > tuple_(bindparam("kind"), bindparam("name")))
        .group_by(CHANGE.c.kind, CHANGE.c.name)
        .order_by(CHANGE.c.kind, CHANGE.c.name)
        .limit(PAGE)
        .subquery()
    )
    same = (CHANGE.c.kind == latest.c.kind) & (CHANGE.c.name == latest.c.name)
    statement = (
        select(CHANGE.c.kind, CHANGE.c.name, CHANGE.c.revision, CHANGE.c.after)
        .join(latest, same & (CHANGE.c.revision == latest.c.revision))
        .order_by(CHANGE.c.kind, CHANGE.c.name)
    )
    while True:
        page = await transaction.rows(statement, place)
        yield [Stored(kind, name, changed, body) for kind, name, changed, body in page if body is not None]
        if len(page) < PAGE:
            return
        place |= {"kind": page[-1][0], "name": page[-1][1]}


async def snapshots(transaction: Transaction, *, after: int, limit: int) -> list[SnapshotRow]:
    """Snapshots with a higher revision, oldest first."""
    statement = _SNAPSHOT.where(SNAPSHOT.c.revision > bindparam("after")).order_by(SNAPSHOT.c.revision)
    return [SnapshotRow(*row) for row in await transaction.rows(statement.limit(limit), {"after": after})]


async def newest_snapshots(transaction: Transaction, *, before: int, limit: int) -> list[SnapshotRow]:
    """Snapshots with a lower revision, newest first."""
    statement = _SNAPSHOT.where(SNAPSHOT.c.revision < bindparam("before")).order_by(SNAPSHOT.c.revision.desc())
    return [SnapshotRow(*row) for row in await transaction.rows(statement.limit(limit), {"before": before})]


async def audit(transaction: Transaction, *, after: int, limit: int) -> list[AuditRow]:
    """Audit rows with a higher id, oldest first."""
    statement = _AUDIT.where(AUDIT.c.id > bindparam("after")).order_by(AUDIT.c.id).limit(limit)
    return [AuditRow(*row) for row in await transaction.rows(statement, {"after": after})]


async def newest_audit(transaction: Transaction, *, limit: int) -> list[AuditRow]:
    """The last audit rows, newest first."""
    statement = _AUDIT.order_by(AUDIT.c.id.desc()).limit(limit)
    return [AuditRow(*row) for row in await transaction.rows(statement)]


def _among(column: Column[str], transaction: Transaction) -> ColumnElement[bool]:
    """One parameter for any number of names: one statement to prepare, and no limit on parameters."""
    if transaction.postgresql:
        return column == any_(sql_cast(bindparam("names"), ARRAY(Text)))
    listed = func.json_each(bindparam("names")).table_valued("value")
    return column.in_(select(listed.c.value))


def _names(names: Sequence[str], transaction: Transaction) -> object:
    return list(names) if transaction.postgresql else msgspec.json.encode(names).decode()


def _by_kind(keys: Iterable[Key]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for kind, name in keys:
        grouped.setdefault(kind, []).append(name)
    return grouped


def _pages(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + PAGE] for start in range(0, len(names), PAGE))
