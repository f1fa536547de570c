"""What the `db` commands do: the schema's version, its upgrade, and the check of the history."""

from __future__ import annotations

from typing import NoReturn

from penstock_adapters.protocol.errors import PenstockError
from penstock_gateway.cli.exits import exit_for, fail
from penstock_registry import migrate
from penstock_registry.registry import Registry
from penstock_registry.store import Store


async def upgrade(url: str) -> tuple[str, str]:
    """The schema's version before and after. Ends the command if the database cannot be reached."""
    before, _ = await versions(url)
    try:
        registry = await Registry.open(url, upgrade=True)
        await registry.aclose()
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
    """The schema version of the database ("" = none yet) and the one this program needs."""
    try:
        store = Store(url)
        try:
            return await migrate.current(store), migrate.known()[-1]
        finally:
            await store.aclose()
    except PenstockError as error:
        refuse(error)


def refuse(error: PenstockError) -> NoReturn:
    """End the command with the error's text."""
    fail(exit_for(error.code.http), error.text, "check the setting `database`: `penstock config show`")
