"""Predictions over REST: right answers in the form asked for, deadlines, cancellation, and what is counted."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from math import inf
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

from penstock_adapters.fake import Fault
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import RequestMessage, Tensor
from penstock_gateway.rest_infer import RestOptions
from tests.support.edges import rest_listener
from tests.support.plane import MemoryPlane
from tests.support.polling import eventually
from tests.support.raw_http import RawAnswer, RawConnection, ask, post

VALUES = [[1.0, 2.0, 3.5, -4.0]]
PATH = "/v2/models/digits/infer"


def json_request(**more: object) -> bytes:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": VALUES}]
    return json.dumps({"inputs": inputs, **more}).encode()


def binary_request(**more: object) -> tuple[bytes, str]:
    """(body, the header with the length of its JSON part)."""
    raw = np.array(VALUES, np.float32).tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], **more}).encode()
    return head + raw, f"Inference-Header-Content-Length: {len(head)}"


def right(plane: MemoryPlane, version: str = "2", request_id: str = "") -> Any:
    raw = np.array(VALUES, "<f4").tobytes()
    message = RequestMessage(request_id, (Tensor("x", "FP32", (1, 4), raw),))
    [output] = plane.right_outputs("digits", version, message)
    return np.frombuffer(output.data, "<f4").reshape(output.shape)


async def asked(
    plane: MemoryPlane, body: bytes, *headers: str, path: str = PATH, options: RestOptions | None = None
) -> RawAnswer:
    async with rest_listener(plane, options) as rest:
        return await ask(rest.port, post(path, body, *headers))


async def test_json_in_json_out() -> None:
    plane = MemoryPlane()
    answer = await asked(plane, json_request(id="a1"))

    assert answer.status == 200
    assert answer.json == {
        "model_name": "digits",
        "model_version": "2",
        "id": "a1",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 3], "data": right(plane, "2", "a1").ravel().tolist()}
        ],
    }
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["penstock-served-by"] == "digits-2-fake"
    assert answer.headers["penstock-generation"] == "7"
    assert "penstock-degraded" not in answer.headers


async def test_binary_in_binary_out() -> None:
    plane = MemoryPlane()
    body, header = binary_request(parameters={"binary_data_output": True})
    answer = await asked(plane, body, header, path="/v2/models/digits/versions/1/infer")
    length = int(answer.headers["inference-header-content-length"])

    assert answer.headers["content-type"] == "application/octet-stream"
    assert json.loads(answer.body[:length])["model_version"] == "1"
    assert answer.body[length:] == right(plane, "1").tobytes()


async def test_a_raw_request_is_the_models_one_input() -> None:
    plane = MemoryPlane()
    raw = np.array(VALUES, "<f4").tobytes()
    answer = await asked(plane, raw, "Inference-Header-Content-Length: 0")
    length = int(answer.headers["inference-header-content-length"])

    assert answer.body[length:] == right(plane).tobytes()


async def test_degraded_answers_say_so() -> None:
    plane = MemoryPlane()
    plane.degraded = "fallback"

    assert (await asked(plane, json_request())).headers["penstock-degraded"] == "fallback"


async def test_classification_is_done_here() -> None:
    plane = MemoryPlane()
    answer = await asked(plane, json_request(outputs=[{"name": "y", "parameters": {"classification": 2}}]))
    best = right(plane)[0]

    [output] = answer.json["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    assert output["data"][0] == f"{best.max():.6f}:{best.argmax()}"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_requests_are_decoded(coding: str, pack: Any) -> None:
    small, large = json_request(), json_request(parameters={"note": "".join(map(str, range(9000)))[:40_000]})
    for body in (small, large):
        answer = await asked(MemoryPlane(), pack(body), f"Content-Encoding: {coding}")
        assert answer.status == 200


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", b"x", 415),
        ("gzip", b"nonsense", 400),
        ("gzip", gzip.compress(b"{}") + b"junk", 400),
        ("gzip", gzip.compress(b"0" * (1 << 21)), 413),
    ],
)
async def test_codings_that_cannot_be_decoded_are_refused(coding: str, body: bytes, status: int) -> None:
    options = RestOptions(Limits(body=1 << 20))
    answer = await asked(MemoryPlane(), body, f"Content-Encoding: {coding}", options=options)

    assert (answer.status, list(answer.json)) == (status, ["error"])
    assert status != 415 or answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("accept", "coding", "unpack"),
    [("gzip", "gzip", gzip.decompress), ("deflate;q=1, gzip;q=0.5", "deflate", zlib.decompress)],
)
@pytest.mark.parametrize("rows", [100, 1000])
async def test_large_answers_are_compressed_as_asked(accept: str, coding: str, unpack: Any, rows: int) -> None:
    data = [[1.0, 2.0, 3.0, 4.0]] * rows
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, 4], "data": data}]}).encode()
    packed = await asked(MemoryPlane(), body, f"Accept-Encoding: {accept}")
    plain = await asked(MemoryPlane(), body, "Accept-Encoding: identity")
    off = await asked(MemoryPlane(), body, f"Accept-Encoding: {accept}", options=RestOptions(compression=False))

    assert (packed.headers["content-encoding"], packed.headers["vary"]) == (coding, "Accept-Encoding")
    assert (plain.headers["vary"], "content-encoding" in plain.headers) == ("Accept-Encoding", False)
    assert "content-encoding" not in off.headers
    assert unpack(packed.body) == plain.body == off.body


async def test_small_answers_are_not_compressed() -> None:
    answer = await asked(MemoryPlane(), json_request(), "Accept-Encoding: gzip")

    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"", (), "json_invalid"),
        (b"{", (), "json_invalid"),
        (b'{"inputs":[]}', (), "input_missing"),
        (json_request(id=1), (), "field_type"),
        (json_request(parameters={"timeout": -1}), (), "parameter_invalid"),
        (json_request(), ("Content-Type: application/json; charset=utf-16",), "header_invalid"),
        (json_request(), ("Inference-Header-Content-Length: 99999",), "binary_header"),
        (json_request(), ("Inference-Header-Content-Length: ten",), "header_invalid"),
        (json_request(), ("Penstock-Timeout-Ms: soon",), "header_invalid"),
        (json_request(), ("Penstock-Timeout-Ms: 1", "Penstock-Timeout-Ms: 1"), "header_invalid"),
        (json_request(outputs=[{"name": "nothing"}]), (), "output_unknown"),
        (b"12345", ("Inference-Header-Content-Length: 0",), None),
    ],
)
async def test_what_the_caller_got_wrong_is_400(body: bytes, headers: tuple[str, ...], reason: str | None) -> None:
    answer = await asked(MemoryPlane(), body, *headers)

    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert reason is None or answer.headers["penstock-reason"] == reason


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json_request(parameters={"timeout": 30_000}), ()),
        (json_request(), ("Penstock-Timeout-Ms: 30",)),
        (json_request(parameters={"timeout": 10_000_000}), ("Penstock-Timeout-Ms: 30",)),
    ],
)
async def test_the_callers_deadline_is_504_and_cancels_the_work(body: bytes, headers: tuple[str, ...]) -> None:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(delay_s=inf)
    answer = await asked(plane, body, *headers)

    assert (answer.status, answer.headers["penstock-reason"]) == (504, "deadline_exceeded")
    assert plane.requests[0].caller_deadline
    assert plane.adapter.in_flight == 0


@pytest.mark.parametrize(("route_s", "server_s"), [(0.03, 60.0), (inf, 0.03)])
async def test_without_one_the_routes_or_the_servers_limit_holds(route_s: float, server_s: float) -> None:
    plane = MemoryPlane()
    plane.timeout_s = route_s
    plane.adapter.fault = Fault(delay_s=inf)
    answer = await asked(plane, json_request(), options=RestOptions(timeout_s=server_s))

    assert answer.status == 504
    assert not plane.requests[0].caller_deadline


async def test_a_timeout_of_zero_means_none() -> None:
    plane = MemoryPlane()
    answer = await asked(plane, json_request(parameters={"timeout": 0}), "Penstock-Timeout-Ms: 0")

    assert answer.status == 200
    assert not plane.requests[0].caller_deadline


async def test_a_client_that_leaves_is_counted_as_499() -> None:
    plane = MemoryPlane()
    plane.adapter.fault = Fault(delay_s=inf)
    async with rest_listener(plane) as rest:
        async with await RawConnection.open(rest.port) as connection:
            await connection.send(post(PATH, json_request()))
            await eventually(lambda: plane.adapter.in_flight == 1)
            assert rest.metrics.inflight.cell("rest").value == 1
        await eventually(lambda: plane.adapter.cancelled == 1)
        await eventually(lambda: bool(rest.counted()))

        assert rest.counted() == {("digits", "", "", "", "rest", "499"): 1}
        assert rest.metrics.inflight.cell("rest").value == 0


async def test_the_service_sees_the_request_headers() -> None:
    plane = MemoryPlane()
    await asked(plane, json_request(), "X-User: ann")

    assert plane.requests[0].headers.get("x-user") == "ann"


async def test_tritonclient_works_unchanged() -> None:
    plane = MemoryPlane()
    async with rest_listener(plane) as rest:
        values = np.array(VALUES, np.float32)

        def blocking() -> Any:
            with triton.InferenceServerClient(f"127.0.0.1:{rest.port}") as client:
                assert client.is_server_live()
                assert client.is_server_ready()
                assert client.is_model_ready("digits")
                assert client.get_model_metadata("digits")["platform"] == "penstock_fake"
                found = []
                for binary in (True, False):
                    entry = triton.InferInput("x", [1, 4], "FP32")
                    entry.set_data_from_numpy(values, binary_data=binary)
                    output = triton.InferRequestedOutput("y", binary_data=binary)
                    found.append(client.infer("digits", [entry], outputs=[output], model_version="1").as_numpy("y"))
                return found

        for found in await asyncio.to_thread(blocking):
            np.testing.assert_array_equal(found, right(plane, "1"))
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{rest.port}") as client:
            entry = triton.InferInput("x", [1, 4], "FP32")
            entry.set_data_from_numpy(values)
            answer = await client.infer("digits", [entry], request_compression_algorithm="gzip")
            np.testing.assert_array_equal(answer.as_numpy("y"), right(plane))


async def test_a_large_tensor_passes_whole() -> None:
    rows = 200_000
    raw = np.arange(rows * 4, dtype="<f4").tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 4], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    plane = MemoryPlane()
    answer = await asked(plane, head + raw, f"Inference-Header-Content-Length: {len(head)}")
    message = RequestMessage("", (Tensor("x", "FP32", (rows, 4), raw),))
    [output] = plane.right_outputs("digits", "2", message)

    assert answer.body[int(answer.headers["inference-header-content-length"]) :] == output.data
