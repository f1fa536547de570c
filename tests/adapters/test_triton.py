"""The Triton adapter against a real Triton, over both of its legs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock_adapters.adapter import Adapter, EndpointSpec
from penstock_adapters.protocol.body import RequestBody, RestWire
from penstock_adapters.protocol.errors import (
    BadBackendAnswer,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PenstockError,
    Unavailable,
    Unimplemented,
)
from penstock_adapters.protocol.message import Parameters, RequestedOutput, RequestMessage, Tensor
from penstock_adapters.protocol.request import InferenceRequest
from penstock_adapters.protocol.tensors import from_array, join_bytes, to_array
from penstock_adapters.testing import AdapterConformance, Case
from penstock_adapters.triton import TritonAdapter, connect
from tests.support.raw_server import Peer, Script, always, answer, serving
from tests.support.requests import NoHeaders, arrays, fp32, request
from tests.support.triton import Triton, free_port

pytestmark = pytest.mark.system
X = fp32("x", [[1, 2, 3, 4]])


class _Conforms(AdapterConformance):
    cannot = frozenset({"scalars"})  # a Triton configuration has no word for a tensor without dimensions

    def spec(self, triton: Triton) -> EndpointSpec:
        raise NotImplementedError

    def spec_of_port(self, port: int) -> EndpointSpec:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    async def silence(self) -> AsyncIterator[None]:
        """A server that takes connections and never says a word."""
        async with serving(Peer.closed) as server:
            self.silent_port = server.port
            yield

    @pytest.fixture
    async def adapter(self, triton: Triton) -> AsyncIterator[Adapter]:
        made = await connect(self.spec(triton))
        yield made
        await made.aclose()

    def case(self, tensor: Tensor, request_id: str) -> Case:  # noqa: ARG002
        renamed = msgspec.structs.replace(tensor, name=f"x_{tensor.datatype}")
        return Case("echo", "1", (renamed,), {renamed.name: renamed})

    def slow(self) -> Case:
        return Case("slow", "1", (fp32("seconds", [[8]]),), {})

    def failing(self) -> Case:
        return Case("shout", "1", (Tensor("text", "BYTES", (1, 1), join_bytes([b"fail"])),), {})

    def loadable(self) -> tuple[str, str, str]:
        return "countdown", "1", ""

    def unloadable(self) -> tuple[str, str, str]:
        return "broken", "1", ""

    async def unreachable(self) -> Adapter:
        return await connect(self.spec_of_port(free_port()))

    async def hung(self) -> Adapter:
        return await connect(self.spec_of_port(self.silent_port))

    async def parameters_seen(self, adapter: Adapter, parameters: Parameters) -> Mapping[str, Any]:
        got = await adapter.infer(request("parameters", fp32("x", [1]), parameters=parameters))
        (text,) = arrays(got.body.message)["seen"].tolist()
        seen: Mapping[str, Any] = json.loads(text)
        return seen


class TestRestLegConforms(_Conforms):
    def spec(self, triton: Triton) -> EndpointSpec:
        return EndpointSpec("t", "triton", url=triton.url)

    def spec_of_port(self, port: int) -> EndpointSpec:
        return EndpointSpec("t", "triton", url=f"http://127.0.0.1:{port}")

    def slow(self) -> Case:
        # Over REST alone nothing stops Triton: what is made to miss its deadline must not keep the model for long.
        return Case("slow", "1", (fp32("seconds", [[1]]),), {})

    async def wire_seen(self, wire: RestWire) -> bytes | None:
        bodies: list[bytes] = []

        async def script(peer: Peer) -> None:
            bodies.append((await peer.request()).partition(b"\r\n\r\n")[2])

        async with serving(script) as server:
            adapter = await connect(EndpointSpec("t", "triton", url=server.url))
            with pytest.raises(Unavailable):
                await adapter.infer(InferenceRequest("m", RequestBody(rest=wire), NoHeaders()))
            await adapter.aclose()
        return bodies[0]


class TestGrpcLegConforms(_Conforms):
    cannot = frozenset({"scalars", "an_equal_encoding_is_forwarded_byte_for_byte"})

    def spec(self, triton: Triton) -> EndpointSpec:
        return EndpointSpec("t", "triton", grpc_url=triton.grpc_url)

    def spec_of_port(self, port: int) -> EndpointSpec:
        return EndpointSpec("t", "triton", grpc_url=f"127.0.0.1:{port}")


@pytest.fixture
async def both(triton: Triton) -> AsyncIterator[TritonAdapter]:
    """An adapter with both legs, as it is meant to be."""
    made = await connect(EndpointSpec("t", "triton", url=triton.url, grpc_url=triton.grpc_url))
    yield made
    await made.aclose()


async def test_both_legs_give_the_same_bits(both: TritonAdapter) -> None:
    x = fp32("x", np.random.default_rng(0).normal(size=(3, 4)))

    answers = [await both.infer(request("affine", x, within_s=20, caller_deadline=caller)) for caller in (False, True)]

    one, other = (response.body.message for response in answers)
    assert bytes(one.outputs[0].data) == bytes(other.outputs[0].data)
    assert one.model_version == other.model_version == "2"
    assert np.array_equal(arrays(one)["y"], to_array(x) * np.float32(3) + 1)


async def test_a_rest_answer_is_kept_as_it_came(both: TritonAdapter) -> None:
    message = RequestMessage("", (X,), binary_output=True)

    body = (await both.infer(request("affine", X))).body

    assert body.rest(message) is body._rest
    assert body._rest is not None


async def test_a_caller_s_deadline_stops_the_model_at_once(both: TritonAdapter) -> None:
    with pytest.raises(DeadlineExceeded):
        await both.infer(request("slow", fp32("seconds", [[60]]), within_s=0.1, caller_deadline=True))

    got = await both.infer(request("slow", fp32("seconds", [[0]]), within_s=20))

    assert arrays(got.body.message)["slept"][0, 0] < 10


async def test_a_cancelled_caller_stops_the_model_at_once(both: TritonAdapter) -> None:
    long = request("slow", fp32("seconds", [[60]]), within_s=90, caller_deadline=True)
    call = asyncio.create_task(both.infer(long))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    got = await both.infer(request("slow", fp32("seconds", [[0]]), within_s=20))

    assert got.body.message.model_name == "slow"


@pytest.mark.parametrize("caller_deadline", [False, True])
async def test_triton_s_refusals_keep_their_meaning(both: TritonAdapter, *, caller_deadline: bool) -> None:
    def ask(model: str, *inputs: Tensor, version: str = "", outputs: tuple[str, ...] = ()) -> InferenceRequest:
        return request(model, *inputs, version=version, outputs=outputs, within_s=20, caller_deadline=caller_deadline)

    text = Tensor("text", "BYTES", (1, 1), join_bytes([b"refuse"]))
    await both.load("countdown", "1")
    expected: list[tuple[InferenceRequest, type[PenstockError]]] = [
        (ask("affine", fp32("x", [[1, 2, 3]])), InvalidArgument),
        (ask("affine", from_array("x", np.ones((1, 4)))), InvalidArgument),
        (ask("affine", fp32("z", [[1, 2, 3, 4]])), InvalidArgument),
        (ask("affine", fp32("x", np.ones((9, 4)))), InvalidArgument),
        (ask("affine", X, outputs=("z",)), InvalidArgument),
        (ask("shout", text), InvalidArgument),
        (ask("nope", X), Unavailable),
        (ask("affine", X, version="9"), Unavailable),
        (ask("broken", X), Unavailable),
        (ask("countdown", from_array("n", np.array([2], np.int32))), Unimplemented),
    ]
    for asked, error in expected:
        with pytest.raises(error) as caught:
            await both.infer(asked)
        assert asked.model_name in caught.value.text
    await both.unload("countdown", "")


async def test_outputs_asked_for_come_alone_over_both_legs(both: TritonAdapter) -> None:
    text = Tensor("text", "BYTES", (1, 2), join_bytes([b"abc", "größe".encode()]))
    for caller in (False, True):
        asked = request("shout", text, outputs=("length",), within_s=20, caller_deadline=caller)
        message = (await both.infer(asked)).body.message
        assert [(t.name, to_array(t).tolist()) for t in message.outputs] == [("length", [[3, 5]])]


async def test_metadata_config_and_statistics_of_a_version(both: TritonAdapter) -> None:
    metadata = await both.metadata("affine", "")
    config = await both.config("affine", "")
    both_versions = await both.statistics("affine", "")

    assert sorted(metadata.versions) == ["1", "2"]
    assert (await both.metadata("affine", "2")).versions == ("2",)
    assert (metadata.inputs[0].datatype, metadata.inputs[0].shape) == ("FP32", (-1, 4))
    assert config["max_batch_size"] == 8
    assert sorted(row["version"] for row in both_versions) == ["1", "2"]
    assert len(await both.statistics("", "")) > 4
    with pytest.raises(NotFound):
        await both.statistics("nope", "")


async def test_one_version_can_go_and_the_other_goes_on_serving(both: TritonAdapter) -> None:
    await both.unload("affine", "2")
    assert not await both.ready("affine", "2")
    assert (await both.infer(request("affine", X))).body.message.model_version == "1"

    await both.unload("affine", "1")
    assert not await both.ready("affine", "1")

    await both.load("affine", "2")
    await both.load("affine", "1")
    assert await both.ready("affine", "1")
    assert (await both.infer(request("affine", X))).body.message.model_version == "2"


async def test_a_version_that_is_not_there_cannot_be_loaded(both: TritonAdapter) -> None:
    for version in ("7", "first"):
        with pytest.raises(InvalidArgument):
            await both.load("affine", version)
    with pytest.raises(InvalidArgument):
        await both.load("nope", "1")

    await both.load("affine", "1")
    assert await both.ready("affine", "1")
    assert await both.ready("affine", "2")


async def test_a_killed_model_process_is_unavailable_and_loading_heals_it(
    both: TritonAdapter, triton: Triton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_adapters.triton.DRAIN_S", 0.5)
    x = fp32("x", [1])
    await both.infer(request("parameters", x))

    os.kill(triton.stub_of("parameters"), signal.SIGKILL)

    for caller_deadline in (False, True):
        with pytest.raises(Unavailable):
            await both.infer(request("parameters", x, within_s=20, caller_deadline=caller_deadline))
    assert await both.ready("parameters")  # so Triton says; only the answers tell
    await both.unload("parameters", "")
    await both.load("parameters", "1")
    assert (await both.infer(request("parameters", x))).body.message.outputs


async def test_reasons_in_the_index_hold_no_stack(both: TritonAdapter) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await both.load("broken", "1")

    (row,) = [entry for entry in await both.index() if entry.name == "broken"]
    assert row.state == "UNAVAILABLE"
    assert "model.py" not in row.reason + caught.value.text


V2 = b'{"model_name":"m","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1.5]}]}'
BAD_ANSWERS = {
    "no_json": answer(b"<html>"),
    "another_shape": answer(V2.replace(b"[1.5]", b"[1.5,2]")),
    "another_model": answer(V2.replace(b'"m"', b'"other"')),
    "another_version": answer(V2.replace(b'"model_version":"1"', b'"model_version":"2"')),
    "another_id": answer(V2.replace(b"{", b'{"id":"8",', 1)),
    "an_output_twice": answer(V2.replace(b"[{", b'[{"name":"y","datatype":"FP32","shape":[1],"data":[1]},{', 1)),
    "an_output_not_asked_for": answer(V2.replace(b'"y"', b'"z"')),
    "no_outputs": answer(b'{"model_name":"m","model_version":"1","outputs":[]}'),
    "an_error_with_200": answer(b'{"error":"secret"}'),
    "an_unknown_datatype": answer(V2.replace(b"FP32", b"FP31")),
    "a_header_length_beyond_the_body": answer(V2, b"200 OK", b"Inference-Header-Content-Length: 9999"),
    "a_header_length_that_is_none": answer(V2, b"200 OK", b"Inference-Header-Content-Length: -1"),
    "two_header_lengths": answer(V2, b"200 OK", *[b"Inference-Header-Content-Length: 5"] * 2),
    "binary_bytes_missing": answer(
        V2.replace(b'"data":[1.5]', b'"parameters":{"binary_data_size":4}'),
        b"200 OK",
        b"Inference-Header-Content-Length: 128",
    ),
    "a_redirect": answer(b"", b"302 Found", b"Location: http://127.0.0.1:1/"),
    "no_content": answer(V2, b"201 Created"),
    "credentials": answer(b"", b"401 Unauthorized"),
    "compressed": answer(b"\x1f\x8b", b"200 OK", b"Content-Encoding: gzip"),
}


def asked_for_y() -> InferenceRequest:
    message = RequestMessage("7", (X,), (RequestedOutput("y", binary=True),))
    return InferenceRequest("m", RequestBody(message=message), NoHeaders(), "1")


async def answered(script: Script) -> Any:
    async with serving(script) as server:
        adapter = await connect(EndpointSpec("t", "triton", url=server.url))
        try:
            return await adapter.infer(asked_for_y())
        finally:
            await adapter.aclose()


@pytest.mark.parametrize("wire", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_a_bad_answer_never_passes(wire: bytes) -> None:
    with pytest.raises(BadBackendAnswer) as caught:
        await answered(always(wire))

    assert "secret" not in caught.value.text


async def test_the_good_answer_beside_the_bad_ones_passes() -> None:
    good = V2.replace(b"{", b'{"id":"7",', 1)

    assert arrays((await answered(always(answer(good)))).body.message)["y"].tolist() == [1.5]


async def test_a_request_on_a_stale_connection_is_sent_again_unless_it_belongs_to_a_sequence() -> None:
    good = answer(V2.replace(b"{", b'{"id":"7",', 1))

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(good)
        await peer.request()  # and closes, without an answer

    async with serving(script) as server:
        adapter = await connect(EndpointSpec("t", "triton", url=server.url))
        await adapter.infer(asked_for_y())
        await adapter.infer(asked_for_y())
        sequence = RequestMessage("7", (X,), (RequestedOutput("y"),), {"sequence_id": 5, "sequence_start": True})
        with pytest.raises(Unavailable):
            await adapter.infer(InferenceRequest("m", RequestBody(message=sequence), NoHeaders(), "1"))
        await adapter.aclose()


class Traced:
    def get(self, name: str, default: str = "", /) -> str:
        return {"traceparent": "00-abc", "authorization": "secret", "tracestate": "é"}.get(name, default)


async def test_only_trace_headers_cross() -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request()).partition(b"\r\n\r\n")[0])

    async with serving(script) as server:
        adapter = await connect(EndpointSpec("t", "triton", url=server.url))
        with pytest.raises(Unavailable):
            await adapter.infer(msgspec.structs.replace(asked_for_y(), headers=Traced()))
        await adapter.aclose()

    assert b"\r\ntraceparent: 00-abc" in heads[0]
    assert b"secret" not in heads[0]
    assert b"tracestate" not in heads[0]


async def test_names_cannot_leave_their_place_in_the_path() -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.request()).partition(b"\r\n")[0])

    async with serving(script) as server:
        adapter = await connect(EndpointSpec("t", "triton", url=server.url))
        with pytest.raises(Unavailable):
            await adapter.infer(msgspec.structs.replace(asked_for_y(), model_name="a/b ?#é", model_version="../x"))
        await adapter.aclose()

    assert heads == [b"POST /v2/models/a%2Fb%20%3F%23%C3%A9/versions/..%2Fx/infer HTTP/1.1"]


@pytest.mark.parametrize(
    "spec",
    [
        EndpointSpec("t", "triton"),
        EndpointSpec("t", "triton", url="127.0.0.1:8000"),
        EndpointSpec("t", "triton", grpc_url="http://h:1"),
        EndpointSpec("t", "triton", grpc_url="h"),
        EndpointSpec("t", "triton", url="http://h:1", options={"workers": 2}),
    ],
)
async def test_an_endpoint_it_cannot_use_is_refused(spec: EndpointSpec) -> None:
    with pytest.raises(InvalidArgument):
        await connect(spec)
