"""Connections and transactions: SQLite for one machine, PostgreSQL for many; the same statements on both.

Reading sees one moment of the database. Writing begins with a lock on the head row (SQLite: BEGIN IMMEDIATE), so writers
queue up in the database itself, across processes and machines. A database that is down, hung, full, read-only or out of
connections is Unavailable within about a step's time; waiting behind another writer is not an outage and may take longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar, TypeVarTuple

import msgspec
from sqlalchemy import URL, Executable, Row, event, literal, make_url, select
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.selectable import TypedReturnsRows

from penstock_adapters.protocol.errors import InvalidArgument, Unavailable
from penstock_registry.failures import STORE_ERRORS, is_busy, is_mistake, outcome_unknown, unavailable
from penstock_registry.patience import Patience, Supervisor

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SQLITE: Final = "sqlite+aiosqlite"
POSTGRESQL: Final = "postgresql+asyncpg"
ROWS_AT_ONCE: Final = 1000
"""Rows in one statement: a bulk write stays a row of short steps, each with its own deadline."""


RETRY_S: Final = 0.01


class Bounds(msgspec.Struct, frozen=True):
    """Times in seconds, the rest counts. Every wait and every pool has an end."""

    step_s: float = 2.0
    """One statement, one connect."""
    commit_s: float = 5.0
    """A commit waits for the disk, and for a synchronous standby."""
    lock_s: float = 20.0
    """Behind other writers, in all."""
    connections: int = 4
    """For reading, and as many again for writing."""


class Transaction:
    """One open transaction. Every statement is a step with a deadline of its own."""

    def __init__(self, connection: AsyncConnection, patience: Patience) -> None:
        self.connection = connection
        self.patience = patience
        self.postgresql = connection.dialect.name == "postgresql"
        self._loop = asyncio.get_running_loop()
        self._spoke_at = self._loop.time()

    async def rows(
        self, statement: TypedReturnsRows[*Ts], parameters: dict[str, object] | None = None
    ) -> Sequence[Row[*Ts]]:
        self.patience.renew()
        self._spoke_at = self._loop.time()
        return (await self.connection.execute(statement, parameters)).all()

    async def run(self, statement: Executable, parameters: Iterable[Mapping[str, object]]) -> None:
        """Once for each set of parameters, ROWS_AT_ONCE to a step; without parameters: nothing."""
        left = iter(parameters)
        while portion := list(islice(left, ROWS_AT_ONCE)):
            self.patience.renew()
            self._spoke_at = self._loop.time()
            await self.connection.execute(statement, portion)

    async def compute(self, work: Callable[[], T]) -> T:
        """The result of a long pure computation, made in a thread while others run and the server hears from us."""
        made = asyncio.ensure_future(asyncio.to_thread(work))
        while not made.done():
            await self.breathe()
            await asyncio.wait({made}, timeout=self.patience.step_s / 4)
        self.patience.renew()
        return made.result()

    async def breathe(self) -> None:
        """In the middle of a long computation: let others run, and let the server know that we are still there."""
        # The time computed is not the server's; the time others take meanwhile may be.
        self.patience.renew()
        await asyncio.sleep(0)
        self.patience.renew()
        if self.postgresql and self._loop.time() - self._spoke_at > self.patience.step_s / 2:
            await self.rows(select(literal(1)))


class Store:
    """One database. Opens its connections when they are needed, and keeps at most `bounds.connections` of a sort."""

    def __init__(self, url: str, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - immutable
        """Raises InvalidArgument if the URL is none of ours. Connects to nothing yet."""
        self.url = _checked(url)
        self.bounds = bounds
        self.postgresql = self.url.drivername == POSTGRESQL
        # Two pools: writers that wait for each other must not keep readers from seeing what is new.
        self._reading = _engine(self.url, bounds, writing=False)
        self._writing = _engine(self.url, bounds, writing=True)
        self._supervisor = Supervisor(bounds.step_s)
        self.migrating = asyncio.Lock()
        # Locking in SQLite is polling, and unfair; within a process we can queue.
        self._turn = asyncio.Semaphore(bounds.connections if self.postgresql else 1)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """The result of `work`, which sees one moment of the database. Raises Unavailable."""

        async def attempt(patience: Patience) -> T:
            try:
                async with self._reading.connect() as connection:
                    return await work(Transaction(connection, patience))
            except STORE_ERRORS as error:
                if is_mistake(error):
                    raise
                raise unavailable(error) from error

        return await self._supervisor.run(attempt)

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """The result of `work`, committed. `work` must lock the head first, and may be run again if that was in vain.

        Raises Unavailable("store_unavailable" or "store_busy"): nothing was changed;
        Unavailable("write_outcome_unknown"): the connection broke during COMMIT, and nobody knows.
        """
        until = asyncio.get_running_loop().time() + self.bounds.lock_s
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("store_busy") from None
        try:
            return await self._written(work, until)
        finally:
            self._turn.release()

    async def _written(self, work: Callable[[Transaction], Awaitable[T]], until: float) -> T:
        async def attempt(patience: Patience) -> T:
            async with self._writing.connect() as connection:
                result = await work(Transaction(connection, patience))
                patience.renew(self.bounds.commit_s)
                patience.reason = "write_outcome_unknown"
                try:
                    await connection.commit()
                except STORE_ERRORS as error:
                    if outcome_unknown(error):
                        raise Unavailable("write_outcome_unknown") from error
                    raise
                patience.renew()
                return result

        while True:
            try:
                return await self._supervisor.run(attempt)
            except STORE_ERRORS as error:
                if is_busy(error) and asyncio.get_running_loop().time() < until:
                    await asyncio.sleep(RETRY_S)
                    continue
                if is_mistake(error):
                    raise
                raise unavailable(error) from error

    async def migrate(self, work: Callable[[Connection], None], timeout_s: float) -> None:
        """Run `work` in one transaction that may take long. Raises Unavailable."""

        async def attempt(patience: Patience) -> None:
            try:
                async with self._writing.connect() as connection:
                    if self.postgresql:
                        await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                        await connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                    patience.renew(timeout_s)
                    await connection.run_sync(work)
                    await connection.commit()
            except STORE_ERRORS as error:
                if is_mistake(error):
                    raise
                raise unavailable(error) from error

        await self._supervisor.run(attempt)

    async def aclose(self) -> None:
        await self._supervisor.aclose(self.bounds.step_s)

        async def dispose(_: Patience) -> None:
            await self._reading.dispose()
            await self._writing.dispose()

        closing: Coroutine[object, object, None] = self._supervisor.run(dispose)
        try:
            await closing
        except (Unavailable, *STORE_ERRORS):
            # The connections are dropped whether or not the server heard of it.
            return


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidArgument("database_url", url="?") from None
    if parsed.drivername not in {SQLITE, POSTGRESQL} or not parsed.database:
        raise InvalidArgument("database_url", url=parsed.render_as_string(hide_password=True))
    return parsed


def _engine(url: URL, bounds: Bounds, *, writing: bool) -> AsyncEngine:
    if url.drivername == SQLITE:
        engine = create_async_engine(
            url,
            pool_size=1 if writing else bounds.connections,
            max_overflow=0,
            pool_timeout=bounds.step_s,
            connect_args={"timeout": bounds.step_s / 2},
        )
        _sqlite(engine, "BEGIN IMMEDIATE" if writing else "BEGIN")
        return engine
    milliseconds = {name: str(int(bounds.step_s * share)) for name, share in _POSTGRESQL_TIMEOUTS}
    return create_async_engine(
        url,
        pool_size=bounds.connections,
        max_overflow=0,
        pool_timeout=bounds.step_s,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED" if writing else "REPEATABLE READ",
        connect_args={
            "timeout": bounds.step_s,
            "command_timeout": 2 * bounds.step_s,
            "server_settings": {"application_name": "penstock-registry", **milliseconds},
        },
    )


_POSTGRESQL_TIMEOUTS: Final = (
    # The server gives up waiting for a lock before we give up on the server: that tells a queue from an outage.
    ("lock_timeout", 400),
    ("statement_timeout", 1500),
    # A writer that is stopped while it holds the head row must not stop all others.
    ("idle_in_transaction_session_timeout", 2500),
)
"""In milliseconds for each second of a step."""


def _sqlite(engine: AsyncEngine, begin: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # sqlite3 must not open transactions on its own: BEGIN comes from the listener below.
        connection.isolation_level = None
        cursor = connection.cursor()
        # FULL: with WAL, NORMAL may forget the last commits when the power fails.
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
