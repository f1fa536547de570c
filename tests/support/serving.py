"""A gateway process over the data plane in memory: `python -m tests.support.serving WORKERS RUN_DIR`.

Prints one JSON line per worker when it serves: its addresses and process id. Ends as the product does, on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import structlog
import uvloop

from penstock_adapters.fake import Fault
from penstock_gateway.exposition import Exposition
from penstock_gateway.grpc_infer import GrpcOptions
from penstock_gateway.listeners import Address, Addresses, Drain, Listeners, WorkerSockets, serve, worker_sockets
from penstock_gateway.metric_files import fold
from penstock_gateway.rest_infer import RestOptions
from penstock_gateway.workers import Supervisor, WorkerSeat
from penstock_router.metrics import Metrics
from tests.support.edges import GrpcListener, RestListener
from tests.support.plane import MemoryPlane

LOCAL = Address("127.0.0.1", 0)
ADDRESSES = Addresses(LOCAL, LOCAL, LOCAL)


async def admin(scope: dict[str, object], receive: object, send: object) -> None:
    """The least an admin application can be."""
    assert scope["type"] == "http"
    assert callable(receive)
    assert callable(send)
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"admin"})


async def serve_one(sockets: WorkerSockets, seat: WorkerSeat | None, run_dir: Path | None) -> int:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(delay_s=0.005)
    metrics = Metrics()
    exposition = Exposition(metrics, run_dir if seat else None, seat.key if seat else "")
    rest = RestListener(plane, RestOptions(), metrics, exposition.scrape)
    grpc = GrpcListener(plane, GrpcOptions(), metrics)
    writing = asyncio.create_task(exposition.keep_writing())

    def started(addresses: Addresses) -> None:
        ports = [address.port if address else 0 for address in (addresses.http, addresses.grpc, addresses.admin)]
        # One write: lines of two workers must not mix.
        os.write(1, json.dumps({"pid": os.getpid(), "ports": ports}).encode() + b"\n")

    def draining() -> None:
        plane.not_ready_reason = "draining"

    listeners = Listeners(rest.server, grpc.server, admin, Drain(notice_s=0.3, linger_s=1.0, patience_s=10.0))  # type: ignore[arg-type]
    cut = await serve(
        listeners, sockets, started=started, draining=draining, parent=None if seat is None else seat.parent
    )
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return 1 if cut else 0


def main(workers: int, run_dir: Path) -> int:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sockets = worker_sockets(ADDRESSES, workers)
    if workers == 1:
        return uvloop.run(serve_one(sockets[0], None, None))

    def work(seat: WorkerSeat) -> int:
        for index, other in enumerate(sockets):
            if index != seat.index:
                other.close()
        if (run_dir / "permanent").exists():
            return 78
        if (run_dir / "crash").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return uvloop.run(serve_one(sockets[seat.index], seat, run_dir))

    def stopping() -> None:
        for one in sockets:
            one.close()

    return Supervisor(
        workers,
        work,
        structlog.get_logger(),
        gone=lambda key: fold(run_dir, [key]),
        stopping=stopping,
        patience_s=10.0,
    ).run()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
