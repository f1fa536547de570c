"""The load side, in a process of its own: reads jobs from standard input, a line each, and answers with results.

Requests are encoded before the clock starts. An answer is decoded and compared value by value the first time its bytes
are seen; the same bytes for the same request later are compared byte by byte, so every answer is checked and the
loader stays cheap.
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array

import msgspec
import numpy as np
import uvloop

from tests.bench.answers import Checker
from tests.bench.grpc_load import run_grpc
from tests.bench.jobs import Job, Result
from tests.bench.rest_load import run_rest
from tests.bench.workload import calls


async def run(job: Job) -> Result:
    """One closed loop from the first request sent to the last answer."""
    checker = Checker(calls(job), job.form)
    latencies = array("q")
    cpu, started = time.process_time_ns(), time.perf_counter()
    await (run_grpc if job.form == "grpc" else run_rest)(job, checker, latencies)
    elapsed, cpu = time.perf_counter() - started, time.process_time_ns() - cpu
    p50, p99 = np.percentile(np.array(latencies), (50, 99)) / 1e3 if latencies else (0.0, 0.0)
    return Result(
        ok=checker.ok,
        wrong=checker.wrong,
        failed=checker.failed,
        first_complaint=checker.first_complaint,
        elapsed_s=elapsed,
        latency_us_p50=float(p50),
        latency_us_p99=float(p99),
        cpu_ns=cpu,
    )


def main() -> None:
    encoder, decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Job)

    async def lines() -> None:
        for line in iter(sys.stdin.buffer.readline, b""):  # blocking is fine: nothing else runs between jobs
            sys.stdout.buffer.write(encoder.encode(await run(decoder.decode(line))) + b"\n")
            sys.stdout.buffer.flush()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lines())


if __name__ == "__main__":
    main()
