"""Closed-loop gRPC load: pre-encoded messages over grpc.aio channels, every answer checked."""

from __future__ import annotations

import asyncio
import time
from array import array
from typing import Any, Final, cast

import grpc

from tests.bench.answers import Checker
from tests.bench.grpc_wire import INFER, encode_call
from tests.bench.jobs import Job

CHANNELS: Final = 4
"""HTTP/2 connections; the callers share them."""
RUN_S: Final = 240.0
"""A run that takes longer is given up."""
OPTIONS: Final = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
]


async def run_grpc(job: Job, checker: Checker, latencies: array[int]) -> None:
    """Send the job's requests and wait for the last answer."""
    wires = [encode_call(call) for call in checker.calls]
    aio = cast("Any", grpc.aio)
    channels = [aio.insecure_channel(f"127.0.0.1:{job.port}", options=OPTIONS) for _ in range(CHANNELS)]
    numbers = iter(range(job.requests))

    async def caller(channel: Any) -> None:
        method = channel.unary_unary(INFER)
        for number in numbers:
            index = number % len(wires)
            sent = time.perf_counter_ns()
            try:
                answer = await method(wires[index], timeout=job.deadline_s or None)
            except grpc.RpcError as error:
                checker.fail(f"{error.code()}: {error.details()}")
                continue
            latencies.append(time.perf_counter_ns() - sent)
            checker.check(index, answer)

    try:
        async with asyncio.timeout(RUN_S), asyncio.TaskGroup() as group:
            for number in range(job.connections):
                group.create_task(caller(channels[number % CHANNELS]))
    except TimeoutError:
        checker.fail(f"the run took more than {RUN_S:.0f} s")
    for channel in channels:
        await channel.close()
