"""Draining the predict listener: what was accepted is answered, then the connections go."""

from __future__ import annotations

import asyncio
import json

from penstock_adapters.fake import Fault
from tests.support.edges import rest_listener
from tests.support.plane import MemoryPlane
from tests.support.polling import eventually
from tests.support.raw_http import NOTHING, RawConnection, get, post

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
INFER = post("/v2/models/digits/infer", BODY)


async def test_a_request_in_flight_and_one_half_sent_are_answered() -> None:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(delay_s=0.1)
    async with rest_listener(plane) as rest:
        busy, half = await RawConnection.open(rest.port), await RawConnection.open(rest.port)
        await busy.send(INFER)
        await half.send(INFER[:-10])
        await eventually(lambda: plane.adapter.in_flight == 1)
        drain = asyncio.create_task(rest.server.drain(10, linger_s=0))
        await asyncio.sleep(0)
        await half.send(INFER[-10:])
        for connection in (busy, half):
            answer = await connection.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            connection.close()

        assert await drain == 0


async def test_an_idle_connection_may_send_one_more() -> None:
    async with rest_listener() as rest:
        idle, late = await RawConnection.open(rest.port), await RawConnection.open(rest.port)
        for connection in (idle, late):
            await connection.send(get("/v2"))
            await connection.answer()
        drain = asyncio.create_task(rest.server.drain(10, linger_s=0.3))
        await asyncio.sleep(0)
        await late.send(get("/v2"))
        answer = await late.answer()

        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await idle.answer() == NOTHING
        assert await drain == 0
        idle.close()
        late.close()


async def test_what_is_left_at_the_timeout_is_cut_and_counted() -> None:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(delay_s=3600)
    async with rest_listener(plane) as rest:
        connection = await RawConnection.open(rest.port)
        await connection.send(INFER)
        await eventually(lambda: plane.adapter.in_flight == 1)

        assert await rest.server.drain(0.1, linger_s=0) == 1
        assert await connection.answer() == NOTHING
        connection.close()
        await eventually(lambda: plane.adapter.in_flight == 0)
