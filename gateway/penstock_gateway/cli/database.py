"""What the `db` commands do: the schema's version, its upgrade, and the check of the history."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from penstock_adapters.protocol.errors import PenstockError
from penstock_gateway.cli.exits import Exit, exit_for, fail
from penstock_registry import migrate
from penstock_registry.registry import Registry
from penstock_registry.store import Store

HINT: Final = "check the setting `database`: `penstock config show`"


async def upgrade(url: str) -> tuple[str, str]:
    """The schema's version before and after. Ends the command if the database cannot be reached."""
    before, _ = await versions(url)
    file = sqlite_file(url)
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        registry = await Registry.open(url, upgrade=True)
        await registry.aclose()
    except OSError as error:
        fail(Exit.UNREACHABLE, f"the folder of {file} cannot be made: {error.strerror}", HINT)
    except PenstockError as error:
        refuse(error)
    return before, (await versions(url))[0]


async def check(url: str) -> str:
    """What is wrong with the schema or the history, "" if nothing is. Ends the command if it cannot be reached."""
    found, needed = await versions(url)
    if found != needed:
        return f"the schema is {found or 'not there'}, this program needs {needed}; run `penstock db upgrade`"
    try:
        registry = await Registry.open(url, upgrade=False)
    except PenstockError as error:
        refuse(error)
    try:
        await registry.verify()
    except PenstockError as error:
        return error.text
    finally:
        await registry.aclose()
    return ""


async def versions(url: str) -> tuple[str, str]:
    """The schema version of the database ("" = none yet) and the one this program needs. Makes no file."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return "", migrate.known()[-1]
    try:
        store = Store(url)
        try:
            return await migrate.current(store), migrate.known()[-1]
        finally:
            await store.aclose()
    except PenstockError as error:
        refuse(error)


def sqlite_file(url: str) -> Path | None:
    """Where a SQLite database lies; None for a server's."""
    return Path(urlsplit(url).path[1:]) if url.startswith("sqlite") else None


def refuse(error: PenstockError) -> NoReturn:
    """End the command with the error's text."""
    fail(exit_for(error.code.http), error.text, HINT)
