"""What a driver's error means for a caller: not now, ask again, or a mistake of ours."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from penstock_adapters.protocol.errors import Unavailable

STORE_ERRORS: Final = (SQLAlchemyError, OSError, TimeoutError)
"""Everything SQLAlchemy, a socket or a driver's timer raises while talking to a database."""
BUSY: Final = frozenset({"55P03", "40001", "40P01"})
"""SQLSTATEs of a live server on which somebody else was faster: lock_timeout, serialization failure, deadlock."""
GONE: Final = ("08", "57P")
"""SQLSTATE classes after which nobody knows what became of a commit: connection lost, server shutting down."""
ABSENT: Final = frozenset({"42P01", "42501", "3F000"})
"""No table, no privilege, no schema: the database is not the one we know, which is no mistake in a statement."""


def is_busy(error: BaseException) -> bool:
    """Is the database alive, but locked by another writer?"""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.OperationalError):
        return (error.orig.sqlite_errorcode & 0xFF) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    return sqlstate(error) in BUSY


def is_mistake(error: BaseException) -> bool:
    """Is the statement wrong, so that trying again cannot help? Such an error is passed on as it is."""
    if isinstance(error, PoolTimeout) or not isinstance(error, SQLAlchemyError):
        return False
    if not isinstance(error, DBAPIError):
        return True
    if isinstance(error, IntegrityError | DataError | ProgrammingError) and not isinstance(error, InterfaceError):
        return sqlstate(error) not in ABSENT
    return False


def outcome_unknown(error: BaseException) -> bool:
    """Did the connection break while COMMIT was under way? The server's own refusal is an answer, silence is not."""
    if not isinstance(error, DBAPIError):
        return True
    if isinstance(error.orig, sqlite3.Error):
        return False
    state = sqlstate(error)
    return not state or state.startswith(GONE)


def unavailable(error: BaseException) -> Unavailable:
    """The caller's error. The cause is for the log only."""
    result = Unavailable("store_busy" if is_busy(error) else "store_unavailable")
    result.__cause__ = error
    return result


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's five-letter code, "" if there is none."""
    return str(getattr(error.orig, "sqlstate", None) or "")
