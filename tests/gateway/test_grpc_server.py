"""The gRPC surface, with the clients people use: grpcio, tritonclient, health and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import inf
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.message import RequestMessage, Tensor
from penstock_adapters.protocol.messages import (
    HEALTH_METHODS,
    HEALTH_SERVICE_NAME,
    METHODS,
    SERVICE_NAME,
    ModelInferRequest,
    ModelInferResponse,
)
from tests.support.edges import GrpcListener, grpc_listener
from tests.support.plane import MemoryPlane
from tests.support.polling import eventually
from tests.support.raw_h2 import LIVE, RawH2

INFER = METHODS["ModelInfer"].path
VALUES = np.array([[1.0, 2.0, 3.5, -4.0]], np.float32)


@pytest.fixture
async def listener() -> AsyncIterator[GrpcListener]:
    async with grpc_listener() as listener:
        yield listener


@pytest.fixture
async def channel(listener: GrpcListener) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        yield channel


def infer_request(**more: Any) -> Any:
    message = ModelInferRequest(**{"model_name": "digits", **more})
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    message.raw_input_contents.append(VALUES.tobytes())
    return message


def right(plane: MemoryPlane, version: str, request_id: str = "") -> Any:
    message = RequestMessage(request_id, (Tensor("x", "FP32", (1, 4), VALUES.tobytes()),))
    [output] = plane.right_outputs("digits", version, message)
    return np.frombuffer(output.data, "<f4").reshape(output.shape)


def metadata_of(call_or_error: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in call_or_error}


async def failing(channel: Any, path: str, request: bytes, **options: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(path)(request, **options)
    return caught.value


async def test_an_answer_is_the_oracles_and_says_who_gave_it(listener: GrpcListener, channel: Any) -> None:
    call = channel.unary_unary(INFER)(
        infer_request(id="a1", model_version="1").SerializeToString(), metadata=(("x-request-id", "trace-1"),)
    )
    answer = ModelInferResponse.FromString(await call)
    trailing = metadata_of(await call.trailing_metadata())

    assert (answer.model_name, answer.model_version, answer.id) == ("digits", "1", "a1")
    assert answer.raw_output_contents[0] == right(listener.plane, "1", "a1").tobytes()
    assert trailing == {
        "penstock-served-by": "digits-1-fake",
        "penstock-generation": "7",
        "x-request-id": "trace-1",
    }
    assert listener.counted() == {("digits", "digits", "1", "fake", "grpc", "200"): 1}


async def test_tritonclient_works_unchanged(listener: GrpcListener) -> None:
    plane = listener.plane

    def blocking() -> Any:
        with triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("digits", "1")
            assert client.get_server_metadata().name == "penstock"
            assert client.get_model_metadata("digits").platform == "penstock_fake"
            assert client.get_model_config("digits").config.name == "digits"
            assert len(client.get_inference_statistics().model_stats) == 4
            assert len(client.get_model_repository_index().models) == 4
            entry = triton.InferInput("x", [1, 4], "FP32")
            entry.set_data_from_numpy(VALUES)
            plain = client.infer("digits", [entry]).as_numpy("y")
            packed = client.infer("digits", [entry], compression_algorithm="gzip").as_numpy("y")
            return plain, packed

    for found in await asyncio.to_thread(blocking):
        np.testing.assert_array_equal(found, right(plane, "2"))
    async with triton_aio.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
        entry = triton.InferInput("x", [1, 4], "FP32")
        entry.set_data_from_numpy(VALUES)
        answers = await asyncio.gather(*(client.infer("digits", [entry], request_id=str(n)) for n in range(50)))
        for number, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.as_numpy("y"), right(plane, "2", str(number)))


async def test_large_tensors_pass_whole(listener: GrpcListener) -> None:
    rows = 700_000  # 11 MB in, 8 MB out
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    message = ModelInferRequest(model_name="digits")
    message.inputs.add(name="x", datatype="FP32", shape=[rows, 4])
    raw = np.arange(rows * 4, dtype="<f4").tobytes()
    message.raw_input_contents.append(raw)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}", options=options) as channel:
        answer = ModelInferResponse.FromString(await channel.unary_unary(INFER)(message.SerializeToString()))
    request = RequestMessage("", (Tensor("x", "FP32", (rows, 4), raw),))
    [output] = listener.plane.right_outputs("digits", "2", request)

    assert answer.raw_output_contents[0] == output.data


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (infer_request(model_name="nothing"), "NOT_FOUND", "model_not_found"),
        (infer_request(model_version="01"), "NOT_FOUND", "version_not_found"),
        (ModelInferRequest(model_name="digits"), "INVALID_ARGUMENT", "input_missing"),
    ],
)
async def test_errors_come_from_the_one_table(channel: Any, request_: Any, status: str, reason: str) -> None:
    error = await failing(channel, INFER, request_.SerializeToString())

    assert error.code().name == status
    assert error.details()
    assert metadata_of(error.trailing_metadata())["penstock-reason"] == reason


async def test_garbage_is_the_callers_fault(channel: Any) -> None:
    for path in (INFER, METHODS["ModelReady"].path):
        error = await failing(channel, path, b"\xff\xff\xff")
        assert (error.code().name, metadata_of(error.trailing_metadata())["penstock-reason"]) == (
            "INVALID_ARGUMENT",
            "protobuf_invalid",
        )


OFFERED = {
    "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelConfig",
    "ModelStatistics", "RepositoryIndex",
}  # fmt: skip


@pytest.mark.parametrize("name", [*sorted(METHODS.keys() - OFFERED), "Nothing"])
async def test_rpcs_that_are_not_offered_are_unimplemented(channel: Any, name: str) -> None:
    path = f"/{SERVICE_NAME}/{name}"
    if name == "ModelStreamInfer":
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in channel.stream_stream(path)(iter([b""])):
                pass
        error: Any = caught.value
    else:
        error = await failing(channel, path, b"")

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert name in error.details()


async def test_a_stream_that_is_not_offered_is_never_taken_for_a_broken_one(channel: Any) -> None:
    codes = set()
    for _ in range(100):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in channel.stream_stream(METHODS["ModelStreamInfer"].path)(iter([b""])):
                pass
        codes.add(caught.value.code())
    assert codes == {grpc.StatusCode.UNIMPLEMENTED}


async def test_the_index_of_a_named_repository_is_unimplemented(channel: Any) -> None:
    request = METHODS["RepositoryIndex"].request(repository_name="main").SerializeToString()
    error = await failing(channel, METHODS["RepositoryIndex"].path, request)

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_clients_deadline_cancels_the_work(listener: GrpcListener, channel: Any) -> None:
    listener.plane.adapter.fault = Fault(delay_s=inf)
    error = await failing(channel, INFER, infer_request().SerializeToString(), timeout=0.1)

    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert listener.plane.requests[0].caller_deadline
    await eventually(lambda: listener.plane.adapter.in_flight == 0)


async def test_a_deadline_of_ours_is_told_by_us(listener: GrpcListener, channel: Any) -> None:
    listener.plane.adapter.fault = Fault(delay_s=inf)
    request = infer_request().SerializeToString()
    for metadata in ((("penstock-timeout-ms", "30"),),):
        error = await failing(channel, INFER, request, metadata=metadata)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert metadata_of(error.trailing_metadata())["penstock-reason"] == "deadline_exceeded"
    timed = infer_request()
    timed.parameters["timeout"].int64_param = 30_000
    error = await failing(channel, INFER, timed.SerializeToString())
    assert "30 ms" in error.details()


async def test_what_nobody_foresaw_is_internal_without_details(listener: GrpcListener, channel: Any) -> None:
    listener.plane.explode = ZeroDivisionError("/srv/secret")
    error = await failing(channel, INFER, infer_request().SerializeToString())

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()
    assert listener.counted() == {("digits", "", "", "", "grpc", "500"): 1}


async def test_reflection_shows_the_services_of_the_private_pool(channel: Any) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE_NAME),
    ]
    answers = [answer async for answer in stub.ServerReflectionInfo(iter(requests))]

    names = {service.name for service in answers[0].list_services_response.service}
    assert {SERVICE_NAME, HEALTH_SERVICE_NAME} <= names
    [file] = answers[1].file_descriptor_response.file_descriptor_proto
    assert "ModelInfer" in {m.name for m in FileDescriptorProto.FromString(file).service[0].method}


async def test_health_answers_for_the_server_and_every_model(listener: GrpcListener, channel: Any) -> None:
    listener.plane.adapter.not_ready.add("digits")
    check = HEALTH_METHODS["Check"]

    async def status(service: str) -> int:
        data = await channel.unary_unary(check.path)(check.request(service=service).SerializeToString())
        found: int = check.response.FromString(data).status
        return found

    assert [await status(name) for name in ("", SERVICE_NAME, "words", "digits")] == [1, 1, 1, 2]
    error = await failing(channel, check.path, check.request(service="nothing").SerializeToString())
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_call_that_is_no_grpc_call_is_refused(listener: GrpcListener) -> None:

    async with await RawH2.open(listener.port) as raw:
        block = raw.block([(":method", "GET"), (":scheme", "http"), (":path", INFER), (":authority", "x")])
        await raw.send(len(block).to_bytes(3, "big") + b"\x01\x05\0\0\0\x01" + block)
        outcome = await raw.outcome(1)

    assert outcome.status == "3"


async def test_an_empty_answer_and_two_messages(listener: GrpcListener) -> None:

    async with await RawH2.open(listener.port) as raw:
        await raw.send(raw.headers(1, LIVE), raw.data(1, bytes(10)))
        assert (await raw.outcome(1)).status == "3"
        await raw.send(raw.headers(3, LIVE, end=True))
        assert (await raw.outcome(3)).status == "3"
