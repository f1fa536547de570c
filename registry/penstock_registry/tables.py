"""The tables. Their history is in migrations/; a test holds the two equal.

Names and bodies are text and are compared as text: no JSON columns, no collation, the same on SQLite and PostgreSQL.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, SmallInteger, Table, Text

METADATA: Final = MetaData()

# One row. Every writer locks it first, so writes happen one after the other, and both chains have one end.
HEAD: Final = Table(
    "head",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("audit_id", BigInteger, nullable=False),
    Column("audit_hash", Text, nullable=False),
)

# What there is now. `body` is the canonical manifest; `revision` the snapshot that last changed it.
RESOURCE: Final = Table(
    "resource",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

# Who refers to whom, derived from the bodies: what a delete has to look up.
REFERENCE: Final = Table(
    "resource_reference",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("target_kind", Text, primary_key=True),
    Column("target_name", Text, primary_key=True),
    Column("selector", Text, primary_key=True),
    Index("resource_reference_target", "target_kind", "target_name"),
)

SNAPSHOT: Final = Table(
    "snapshot",
    METADATA,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

# before NULL = created, after NULL = deleted. Append-only, like SNAPSHOT and AUDIT.
CHANGE: Final = Table(
    "change",
    METADATA,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("before_revision", BigInteger, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Index("change_resource", "kind", "name", "revision"),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("found", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("before", BigInteger, nullable=False),
    Column("after", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
