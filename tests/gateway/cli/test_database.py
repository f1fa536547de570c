"""db upgrade, check and version, on a real SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from penstock_registry import migrate
from tests.gateway.cli.commands import penstock

NEWEST = migrate.known()[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "penstock.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def test_an_upgrade_makes_the_schema_and_twice_changes_nothing(url: str) -> None:
    before = penstock("db", "version", "--database", url)
    first = penstock("db", "upgrade", "--database", url)
    second = penstock("db", "upgrade", "--database", url)
    after = penstock("db", "version", "--database", url)

    assert before.out == f"database none, program {NEWEST}\n"
    assert first.out == f"schema none -> {NEWEST}\n"
    assert second.out == f"schema {NEWEST}: nothing to do\n"
    assert after.out == f"database {NEWEST}, program {NEWEST}\n"


def test_looking_at_a_database_makes_no_file_and_an_upgrade_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "data" / "penstock.db"
    url = f"sqlite+aiosqlite:///{path}"

    looked = [penstock("db", command, "--database", url) for command in ("version", "check")]
    before = path.parent.exists()
    made = penstock("db", "upgrade", "--database", url)

    assert [ran.code for ran in looked] == [0, 1]
    assert not before
    assert made.code == 0, made.err
    assert path.exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ran = penstock("db", "upgrade", "--database", f"sqlite+aiosqlite:///{tmp_path}/file/penstock.db")

    assert ran.code == 3
    assert "cannot be made" in ran.err
    assert "hint: " in ran.err


def test_a_sound_history_passes_the_check(url: str) -> None:
    missing = penstock("db", "check", "--database", url)
    penstock("db", "upgrade", "--database", url)
    sound = penstock("db", "check", "--database", url)

    assert missing.code == 1
    assert "run `penstock db upgrade`" in missing.err
    assert (sound.code, sound.out) == (0, "schema and history are in order\n")


def test_a_history_somebody_changed_fails_the_check(url: str, path: Path) -> None:
    penstock("db", "upgrade", "--database", url)
    with sqlite3.connect(path) as connection:
        tables = {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}
        connection.execute("update head set hash = 'x'" if "head" in tables else "select 1")
    connection.close()

    ran = penstock("db", "check", "--database", url)

    assert ran.code == 1, tables
    assert "error: " in ran.err


@pytest.mark.parametrize("command", ["upgrade", "check", "version"])
def test_a_database_that_does_not_answer_is_exit_code_3(command: str) -> None:
    ran = penstock("db", command, "--database", "postgresql+asyncpg://u:hunter2@127.0.0.1:1/d")

    assert ran.code == 3
    assert "hunter2" not in ran.err
    assert "hint: " in ran.err
