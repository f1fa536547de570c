"""Start, serve and drain a whole process, with load on it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import grpc

from penstock_adapters.protocol.messages import METHODS, ModelInferRequest
from penstock_gateway.listeners import Address, Addresses, listening_socket, worker_sockets
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.raw_http import RawConnection, ask, get, post

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
REST = post("/v2/models/digits/infer", BODY)
LOCAL = Address("127.0.0.1", 0)


def grpc_request() -> bytes:
    message = ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    message.raw_input_contents.append(bytes(16))
    data: bytes = message.SerializeToString()
    return data


class Load:
    """Closed loops over REST and gRPC; every request that was sent is an outcome."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self.outcomes: Counter[str] = Counter()
        self._stop = False

    async def _rest(self) -> None:
        connection = None
        while not self._stop:
            if connection is None:
                try:
                    connection = await RawConnection.open(self._gateway.http)
                except OSError:
                    self.outcomes["rest refused"] += 1
                    await asyncio.sleep(0.02)
                    continue
            await connection.send(REST)
            answer = await connection.answer()
            self.outcomes[f"rest {answer.status}"] += 1
            if not answer.status or answer.headers.get("connection") == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _grpc(self, channel: Any) -> None:
        infer, request = channel.unary_unary(METHODS["ModelInfer"].path), grpc_request()
        while not self._stop:
            try:
                await infer(request, timeout=10)
                self.outcomes["grpc OK"] += 1
            except grpc.aio.AioRpcError as error:
                refused = error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or "")
                self.outcomes["grpc refused" if refused else f"grpc {error.code().name} {error.details()}"] += 1
                await asyncio.sleep(0.02)

    async def run_while(self, work: Any) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{self._gateway.grpc}", options=options) for _ in range(3)]
        tasks = [asyncio.create_task(self._rest()) for _ in range(8)]
        tasks += [asyncio.create_task(self._grpc(channel)) for channel in channels for _ in range(3)]
        try:
            await work
        finally:
            self._stop = True
            await asyncio.gather(*tasks)
            for channel in channels:
                await channel.close()

    async def answered(self, count: int) -> None:
        async with asyncio.timeout(30):
            while min(self.outcomes["rest 200"], self.outcomes["grpc OK"]) < count:  # noqa: ASYNC110 - by the load
                await asyncio.sleep(0.01)


async def test_sigterm_under_load_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as gateway:
        await gateway.worker_started()
        load = Load(gateway)

        async def stop() -> None:
            await load.answered(300)
            gateway.stop()
            assert await gateway.ended() == 0

        await load.run_while(stop())

    assert set(load.outcomes) <= {"rest 200", "rest refused", "grpc OK", "grpc refused"}, load.outcomes


async def test_readiness_goes_first_and_the_admin_listener_last(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as gateway:
        await gateway.worker_started()
        assert (await ask(gateway.admin, get("/"))).body == b"admin"
        async with await RawConnection.open(gateway.http) as connection:
            await connection.send(get("/v2/health/ready"))
            assert (await connection.answer()).status == 200
            gateway.stop()
            async with asyncio.timeout(5):
                while True:
                    await connection.send(get("/v2/health/ready"))
                    answer = await connection.answer()
                    if answer.status != 200:
                        break
                    await asyncio.sleep(0.01)

            assert (answer.status, answer.headers["penstock-reason"]) == (503, "draining")
            await connection.send(REST)
            assert (await connection.answer()).status == 200
        assert await gateway.ended() == 0


async def test_a_second_signal_ends_the_patience(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as gateway:
        await gateway.worker_started()
        async with await RawConnection.open(gateway.http) as connection:
            await connection.send(REST[:-5])
            gateway.stop()
            await asyncio.sleep(0.1)
            gateway.process.send_signal(signal.SIGINT)

            assert await gateway.ended() == 0


def test_each_worker_gets_sockets_of_its_own_on_the_same_ports() -> None:
    workers = worker_sockets(Addresses(LOCAL, LOCAL, None), 3)
    http = {worker.http.getsockname() for worker in workers}
    grpc_ = {worker.grpc.getsockname() for worker in workers if worker.grpc}

    assert (len(workers), len(http), len(grpc_)) == (3, 1, 1)
    assert all(worker.admin is None for worker in workers)
    assert len({worker.http.fileno() for worker in workers}) == 3
    for worker in workers:
        worker.close()


def test_one_process_does_not_share_its_port() -> None:
    [worker] = worker_sockets(Addresses(LOCAL), 1)
    taken = Address(*worker.http.getsockname())
    try:
        listening_socket(taken, reuse_port=True)
    except OSError:
        shared = False
    else:
        shared = True

    assert not shared
    worker.close()


def test_addresses_are_written_as_urls_want_them() -> None:
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"
    assert str(Address("::1", 80)) == "[::1]:80"
    with listening_socket(Address("127.0.0.1", 0)) as sock:
        assert sock.family == socket.AF_INET
