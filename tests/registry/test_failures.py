"""What a driver's error means, with the errors that drivers really raise."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from penstock_registry.failures import is_busy, is_mistake, outcome_unknown, sqlstate, unavailable


class PostgresError(Exception):
    def __init__(self, state: str | None) -> None:
        super().__init__("")
        self.sqlstate = state


def postgres(state: str | None, kind: type[DBAPIError] = DBAPIError) -> DBAPIError:
    return kind("SELECT", {}, PostgresError(state))


def locked(path: Path) -> sqlite3.OperationalError:
    with sqlite3.connect(path) as one, sqlite3.connect(path, timeout=0) as other:
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("BEGIN IMMEDIATE")
        one.rollback()
    one.close()
    other.close()
    return caught.value


def test_a_locked_database_is_busy_not_gone(tmp_path: Path) -> None:
    error = DBAPIError("BEGIN", {}, locked(tmp_path / "a.db"))

    assert is_busy(error)
    assert unavailable(error).reason == "store_busy"
    assert not outcome_unknown(error)


@pytest.mark.parametrize("state", ["55P03", "40001", "40P01"])
def test_a_lock_that_takes_too_long_is_busy(state: str) -> None:
    assert is_busy(postgres(state))


@pytest.mark.parametrize("state", ["25006", "53300", "08006", "57P01", "57P03", "57014", "53100", None])
def test_a_database_that_does_not_serve_is_unavailable(state: str | None) -> None:
    error = postgres(state)

    assert not is_busy(error)
    assert not is_mistake(error)
    assert unavailable(error).reason == "store_unavailable"
    assert unavailable(error).__cause__ is error


@pytest.mark.parametrize("error", [OSError(), TimeoutError(), ConnectionResetError(), PoolTimeout()])
def test_a_socket_a_timer_and_a_full_pool_are_unavailable(error: Exception) -> None:
    assert not is_mistake(error)
    assert outcome_unknown(error)


def test_a_wrong_statement_is_our_mistake() -> None:
    assert is_mistake(postgres("42601", ProgrammingError))
    assert is_mistake(postgres("23505", type("IntegrityError", (ProgrammingError,), {})))
    assert is_mistake(InvalidRequestError())


@pytest.mark.parametrize("state", ["42P01", "42501", "3F000"])
def test_a_database_without_our_tables_is_not_our_mistake(state: str) -> None:
    assert not is_mistake(postgres(state, ProgrammingError))


def test_an_interface_that_is_closed_is_not_our_mistake() -> None:
    assert not is_mistake(postgres(None, InterfaceError))


@pytest.mark.parametrize(("state", "unknown"), [(None, True), ("08006", True), ("57P01", True), ("53100", False)])
def test_only_silence_leaves_a_commit_unknown(state: str | None, unknown: bool) -> None:
    assert outcome_unknown(postgres(state)) is unknown


def test_an_error_without_a_code_has_none() -> None:
    assert sqlstate(postgres(None)) == ""
    assert sqlstate(postgres("08006")) == "08006"
