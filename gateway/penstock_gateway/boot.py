"""`penstock serve`: sockets first, then one process that serves, or a supervisor and N of them."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog
import uvloop

from penstock_gateway import logs
from penstock_gateway.listeners import Address, Addresses, WorkerSockets, worker_sockets
from penstock_gateway.metric_files import fold
from penstock_gateway.settings import Settings
from penstock_gateway.worker import serve_worker
from penstock_gateway.workers import PERMANENT, Supervisor, WorkerSeat


def addresses(settings: Settings) -> Addresses:
    """Where the settings say to listen."""
    return Addresses(
        http=Address(settings.http_host, settings.http_port),
        grpc=Address(settings.grpc_host, settings.grpc_port),
        admin=Address(settings.admin_host, settings.admin_port),
    )


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code (0: everything accepted was answered)."""
    logs.configure(settings.log_level, settings.log_format)
    log = structlog.get_logger("penstock")
    try:
        sockets = worker_sockets(addresses(settings), settings.workers)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound ({error.strerror})"
        hint = "end what listens there, or choose other ports: --http-port, --grpc-port, --admin-port"
        log.error("cannot_listen", problem=f"{error.filename} {reason}", hint=hint)  # noqa: TRY400 - no fault of ours
        return PERMANENT
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        for one in sockets:
            one.close()
        problem, hint = f"{settings.data_dir}: {error.strerror}", "choose another folder with --data-dir"
        log.error("cannot_make_data_dir", problem=problem, hint=hint)  # noqa: TRY400 - no fault of ours
        return PERMANENT
    if settings.workers == 1:
        return 1 if uvloop.run(serve_worker(settings, sockets[0], None, None, announced)) else 0
    with tempfile.TemporaryDirectory(prefix="penstock-run-") as folder:
        return _supervised(settings, sockets, Path(folder))


def announced(where: Addresses) -> None:
    """Say where we listen: port 0 in the settings becomes a number only here."""
    structlog.get_logger("penstock").info("serving", http=str(where.http), grpc=str(where.grpc), admin=str(where.admin))


def _supervised(settings: Settings, sockets: Sequence[WorkerSockets], run_dir: Path) -> int:
    def work(seat: WorkerSeat) -> int:
        for index, other in enumerate(sockets):
            if index != seat.index:
                other.close()
        return 1 if uvloop.run(serve_worker(settings, sockets[seat.index], seat, run_dir, announced)) else 0

    def stopping() -> None:
        for one in sockets:
            one.close()

    return Supervisor(
        settings.workers,
        work,
        structlog.get_logger("penstock.supervisor"),
        gone=lambda key: fold(run_dir, [key]),
        stopping=stopping,
        patience_s=settings.drain_seconds,
    ).run()
