from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import pytest

from penstock_adapters.protocol.errors import BadBackendAnswer, DeadlineExceeded, Internal, Unavailable
from penstock_adapters.protocol.messages import METHODS, ModelInferRequest, ModelInferResponse, message_class
from penstock_adapters.triton_grpc import GrpcLeg, to_json
from tests.support.raw_server import Peer, serving
from tests.support.triton import free_port

Answer = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]


class Server:
    """Answers ModelInfer with whatever bytes the test says."""

    def __init__(self) -> None:
        self.answer: Answer = self._echo
        self.cancelled = asyncio.Event()
        self.begun = asyncio.Event()
        self.port = 0

    async def _echo(self, data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        del context
        request = ModelInferRequest.FromString(data)
        return bytes(ModelInferResponse(model_name=request.model_name, id=request.id).SerializeToString())

    async def hang(self, data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        del data, context
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError

    async def infer(self, data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return await self.answer(data, context)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    running = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    handler = grpc.unary_unary_rpc_method_handler(made.infer)
    running.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler}),)
    )
    made.port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield made
    await running.stop(None)


@pytest.fixture
async def leg(server: Server) -> AsyncIterator[GrpcLeg]:
    made = GrpcLeg(f"127.0.0.1:{server.port}", body_max=1 << 20)
    yield made
    await made.aclose()


REQUEST = ModelInferRequest(model_name="m", id="7")


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_message_goes_and_its_answer_comes(leg: GrpcLeg) -> None:
    answer = await leg.call("ModelInfer", REQUEST, deadline=later(10), model="m")

    assert (answer.model_name, answer.id) == ("m", "7")


async def test_garbage_is_a_bad_answer(leg: GrpcLeg, server: Server) -> None:
    async def garbage(data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        del data, context
        return b"\xff\xff\xff"

    server.answer = garbage
    with pytest.raises(BadBackendAnswer, match="not the message"):
        await leg.call("ModelInfer", REQUEST, model="m")


async def test_an_answer_over_the_cap_is_a_bad_answer(leg: GrpcLeg, server: Server) -> None:
    async def huge(data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        del data, context
        return bytes(3 << 20)

    server.answer = huge
    with pytest.raises(BadBackendAnswer, match="too large"):
        await leg.call("ModelInfer", REQUEST, model="m")


async def test_a_status_is_ours_without_its_text(leg: GrpcLeg, server: Server) -> None:
    async def failing(data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        del data
        await context.abort(grpc.StatusCode.INTERNAL, "at /srv/secret.py")
        raise AssertionError

    server.answer = failing
    with pytest.raises(Internal) as caught:
        await leg.call("ModelInfer", REQUEST, model="m")

    assert "secret" not in caught.value.text


async def test_the_deadline_reaches_the_server_and_ends_the_call(leg: GrpcLeg, server: Server) -> None:
    server.answer = server.hang

    with pytest.raises(DeadlineExceeded):
        await leg.call("ModelInfer", REQUEST, deadline=later(0.1), model="m")

    async with asyncio.timeout(10):
        await server.cancelled.wait()


async def test_a_deadline_that_has_passed_sends_nothing(leg: GrpcLeg, server: Server) -> None:
    server.answer = server.hang

    with pytest.raises(DeadlineExceeded):
        await leg.call("ModelInfer", REQUEST, deadline=later(-1), model="m")

    assert not server.begun.is_set()


async def test_a_cancelled_caller_cancels_the_call_at_the_server(leg: GrpcLeg, server: Server) -> None:
    server.answer = server.hang
    call = asyncio.create_task(leg.call("ModelInfer", REQUEST, model="m"))
    await server.begun.wait()

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    async with asyncio.timeout(10):
        await server.cancelled.wait()


async def test_nobody_listening_is_unavailable() -> None:
    leg = GrpcLeg(f"127.0.0.1:{free_port()}", body_max=1 << 20)

    with pytest.raises(Unavailable):
        await leg.call("ModelInfer", REQUEST, deadline=later(10), model="m")

    await leg.aclose()


async def test_a_server_that_is_no_grpc_server_is_one_of_our_errors() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(script) as raw:
        leg = GrpcLeg(f"127.0.0.1:{raw.port}", body_max=1 << 20)
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await leg.call("ModelInfer", REQUEST, deadline=later(2), model="m")
        await leg.aclose()


async def test_a_closed_leg_is_unavailable_and_may_be_closed_again(leg: GrpcLeg) -> None:
    await leg.aclose()
    await leg.aclose()

    with pytest.raises(Unavailable):
        await leg.call("ModelInfer", REQUEST, model="m")


def test_messages_become_triton_s_json_with_numbers_as_numbers() -> None:
    statistics = METHODS["ModelStatistics"].response()
    row = statistics.model_stats.add(name="m", version="1", inference_count=2**60)
    row.inference_stats.success.count = 3
    row.response_stats["0"].success.ns = 4

    (got,) = to_json(statistics)["model_stats"]

    assert got["inference_count"] == 2**60
    assert got["inference_stats"]["success"] == {"count": 3, "ns": 0}
    assert got["response_stats"]["0"]["success"]["ns"] == 4
    assert got["batch_stats"] == []


def test_enums_become_their_names() -> None:
    config = message_class("inference.ModelConfig")(name="m")
    config.input.add(name="x", data_type=11, dims=[4])

    got = to_json(config)

    assert (got["name"], got["max_batch_size"]) == ("m", 0)
    assert (got["input"][0]["data_type"], got["input"][0]["dims"]) == ("TYPE_FP32", [4])


async def test_a_call_under_way_when_the_channel_is_closed_is_unavailable(server: Server) -> None:
    server.answer = server.hang
    leg = GrpcLeg(f"127.0.0.1:{server.port}", body_max=1000)
    call = asyncio.create_task(leg.call("ModelInfer", ModelInferRequest(model_name="m"), model="m"))
    await asyncio.wait_for(server.begun.wait(), 5)

    await leg.aclose()

    with pytest.raises(Unavailable):  # Not CancelledError: to the edge that means that the client has left.
        await asyncio.wait_for(call, 5)
