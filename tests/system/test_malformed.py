"""The corpora of malformed requests over real sockets against a real process: every one is refused, and nothing is left of it.

`wrong` below lists every case whose answer is not the one its rule says; a 5xx never is, except 501 where the corpus
says so (an extension that is not offered). Each exchange is bounded, so that a hang is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.message import DecodeError

from penstock_adapters.fake import oracle
from penstock_adapters.protocol.errors import Code
from penstock_adapters.protocol.message import Tensor, TensorMetadata
from penstock_adapters.protocol.messages import METHODS, ModelInferRequest
from tests.corpora import SIGNATURE, VALID, Case, load
from tests.corpora.framing import BODY, PATH, Bytes, http1_cases, http2_cases, request
from tests.support.penstock import Penstock, penstock, resident_kib
from tests.support.scale import Measured, Scale

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # --full takes its time

PATIENCE_S = 20.0
AT_ONCE = 8
GROWTH_KIB = 24 * 1024
"""How much larger the process may be after the corpora have been sent again (Triton allows itself 100 MB)."""
CASES = load()
INFER = METHODS["ModelInfer"]
CODES = {code.grpc: {c.http for c in Code if c.grpc == code.grpc} for code in Code}

T = TypeVar("T")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """Penstock with the model `m`, whose backend computes nothing: nothing malformed should get that far."""
    root = tmp_path_factory.mktemp("malformed")
    tensors = {
        side: [
            {"name": t.name, "datatype": t.datatype, "shape": list(t.shape), "optional": t.optional}
            for t in getattr(SIGNATURE, side)
        ]
        for side in ("inputs", "outputs")
    }
    signature = {**tensors, "maxBatchSize": SIGNATURE.max_batch_size}
    resources = [
        _resource("Backend", "nothing", {"platform": "fake"}),
        _resource("Model", "m", {"signature": signature, "versions": [{"id": "1"}]}),
        _resource("Deployment", "m-1", {"model": "m@1", "backend": "nothing"}),
    ]
    (root / "m.yaml").write_text("---\n".join(json.dumps(resource) + "\n" for resource in resources))
    with penstock(root) as running:
        running.apply(root / "m.yaml")
        running.wait_ready("m")
        yield running


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "penstock/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(autouse=True)
def healthy_afterwards(product: Penstock) -> Iterator[None]:
    """Whatever was sent: the process is the same, says so, answers right, and met nothing that it did not foresee."""
    pids = product.processes
    yield
    assert product.running
    assert product.processes == pids
    assert [product.get(path).status for path in ("/v2/health/live", "/v2/health/ready")] == [200, 200]
    answer = product.call("POST", PATH.decode(), VALID[0].body)
    [output] = answer.json["outputs"]
    [expected] = oracle("m", "1", "", [_one_to_four()], SIGNATURE.outputs)
    assert (answer.status, output["data"]) == (200, memoryview(expected.data).cast("B").cast("f").tolist())
    assert "unforeseen" not in product.log.read_text()


def _one_to_four() -> Tensor:
    [meta] = [meta for meta in SIGNATURE.inputs if meta.name == "x"]
    assert meta == TensorMetadata("x", "FP32", (-1, 4))
    return Tensor("x", "FP32", (1, 4), bytes.fromhex("0000803f000000400000404000008040"))


async def each(cases: Iterable[T], judge: Callable[[T], Awaitable[str]]) -> list[str]:
    """What is wrong, over all cases, some at once."""
    waiting, wrong = list(cases)[::-1], []

    async def work() -> None:
        while waiting:
            said = await judge(waiting.pop())
            if said:
                wrong.append(said)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return wrong


async def exchange(port: int, pieces: Sequence[bytes], *, half_close: bool) -> bytes:
    """Send pieces on a connection of its own; all that comes back until the server closes. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if half_close:
                writer.write_eof()
            while more := await reader.read(65536):
                received += more
        except OSError:
            pass  # refused so early that the rest was not read; what was said before counts
        finally:
            writer.close()
        return received


def answers(received: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, headers and body of each answer on a connection. Raises ValueError for what is none."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        if not end:
            raise ValueError("an answer without an end")
        lines = head.decode("latin-1").split("\r\n")
        version, status = lines[0].split(" ")[:2]
        if version != "HTTP/1.1":
            raise ValueError(lines[0])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        size = 0 if status == "100" else int(headers["content-length"])
        if len(received) < size:
            raise ValueError("a body without an end")
        if status != "100":
            found.append((int(status), headers, received[:size]))
        received = received[size:]
    return found


def shape_of_error(status: int, headers: dict[str, str], body: bytes) -> str:
    """What is wrong with a refusal's form; "" if nothing is."""
    try:
        said = json.loads(body)
    except ValueError:
        return f"{status} {body!r} is not JSON"
    if set(said) != {"error"} or type(said["error"]) is not str or not said["error"]:
        return f"{status} {body!r} is not an error object"
    if headers.get("content-type") != "application/json" or not headers.get("penstock-reason"):
        return f"{status} {headers} lacks a header"
    return ""


# -- REST ----------------------------------------------------------------------------------------------------------------


def _whole(case: Case) -> Sequence[bytes]:
    return (request(*_headers(case), b"Content-Length: %d" % len(case.body), body=case.body),)


def _chunked(case: Case) -> Sequence[bytes]:
    size = max(1, len(case.body) // 3)
    parts = [case.body[at : at + size] for at in range(0, len(case.body), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return (request(*_headers(case), b"Transfer-Encoding: chunked", body=body),)


def _dripped(case: Case) -> Sequence[bytes]:
    (data,) = _whole(case)
    size = max(1, len(data) // 40)
    return [data[at : at + size] for at in range(0, len(data), size)]


def _headers(case: Case) -> list[bytes]:
    return [f"{name}: {value}".encode() for name, value in case.headers.items()] + [b"Connection: close"]


FRAMINGS = {"length": _whole, "chunked": _chunked, "dripped": _dripped}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_every_malformed_rest_request_is_refused_as_its_rule_says(product: Penstock, framing: str) -> None:
    async def judge(case: Case) -> str:
        try:
            received = await exchange(product.http, FRAMINGS[framing](case), half_close=False)
            [(status, headers, body)] = answers(received)
        except (TimeoutError, ValueError, KeyError) as error:
            return f"{case.name}: {error!r}"
        if status != case.http or (case.reason and headers.get("penstock-reason") != case.reason):
            return f"{case.name}: {case.http} {case.reason} expected, {status} {headers.get('penstock-reason')}"
        problem = shape_of_error(status, headers, body)
        return f"{case.name}: {problem}" if problem else ""

    cases = [case for case in CASES if case.carrier == "rest"]
    wrong = await each(cases, judge)

    assert len(cases) >= 1000
    assert wrong == []


async def test_a_good_request_is_answered_behind_a_malformed_one_on_the_same_connection(product: Penstock) -> None:
    """A refused body leaves the connection in step: what follows it is a request, not the rest of something."""
    good = request(b"Content-Length: %d" % len(BODY), b"Connection: close", body=BODY)

    async def judge(case: Case) -> str:
        head = [f"{name}: {value}".encode() for name, value in case.headers.items()]
        first = request(*head, b"Content-Length: %d" % len(case.body), body=case.body)
        try:
            found = answers(await exchange(product.http, (first + good,), half_close=False))
        except (TimeoutError, ValueError, KeyError) as error:
            return f"{case.name}: {error!r}"
        closes = found[0][1].get("connection") == "close"
        expected = [case.http] if closes else [case.http, 200]
        return "" if [status for status, _, _ in found] == expected else f"{case.name}: {[f[0] for f in found]}"

    wrong = await each([case for case in CASES if case.carrier == "rest"], judge)

    assert wrong == []


async def test_broken_http_is_refused_or_closed(product: Penstock) -> None:
    async def judge(case: Bytes) -> str:
        try:
            found = answers(await exchange(product.http, (case.data,), half_close=True))
        except (TimeoutError, ValueError, KeyError) as error:
            return f"{case.name}: {error!r}"
        for status, headers, body in found:
            if status == 200 and not case.refused:
                continue
            problem = shape_of_error(status, headers, body)
            if problem or not 400 <= status < 500:
                return f"{case.name}: {status} {problem}"
        return ""

    cases = list(http1_cases())
    wrong = await each(cases, judge)

    assert len(cases) >= 600
    assert wrong == []


# -- gRPC ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def infer(product: Penstock) -> AsyncIterator[grpc.aio.UnaryUnaryMultiCallable]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{product.grpc}") as channel:
        yield channel.unary_unary(INFER.path, response_deserializer=INFER.response.FromString)


async def test_every_malformed_grpc_request_is_refused_as_its_rule_says(
    infer: grpc.aio.UnaryUnaryMultiCallable,
) -> None:
    async def judge(case: Case) -> str:
        try:
            await infer(case.body, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            reason = dict(error.trailing_metadata() or ()).get("penstock-reason")
            if not error.details() or not reason:
                return f"{case.name}: {error.code()} without words"
            if error.code() is grpc.StatusCode.NOT_FOUND and _asks_for_another(case.body):
                return ""
            fits = case.http in CODES[error.code().value[0]] and reason == (case.reason or reason)
            return "" if fits else f"{case.name}: {case.http} {case.reason} expected, {error.code()} {reason}"
        return f"{case.name}: it was accepted"

    cases = [case for case in CASES if case.carrier == "grpc"]
    wrong = await each(cases, judge)

    assert len(cases) >= 300
    assert wrong == []


def _asks_for_another(body: bytes) -> bool:
    """Model and version are looked up before the contents are judged."""
    message = ModelInferRequest()
    try:
        message.MergeFromString(body)
    except DecodeError:
        return False
    return (message.model_name, message.model_version) not in {("m", ""), ("m", "1")}


async def test_broken_http2_is_closed(product: Penstock) -> None:
    async def judge(case: Bytes) -> str:
        try:
            await exchange(product.grpc, (case.data,), half_close=True)
        except TimeoutError:
            return f"{case.name}: it hangs"
        return ""

    cases = list(http2_cases())
    wrong = await each(cases, judge)

    assert len(cases) >= 350
    assert wrong == []


# -- afterwards ----------------------------------------------------------------------------------------------------------


async def test_nothing_of_it_stays_in_memory(
    product: Penstock, infer: grpc.aio.UnaryUnaryMultiCallable, scale: Scale, measured: Measured
) -> None:
    """The corpora once more, after the tests above have warmed everything up; at full size ten times."""

    async def send(case: Case) -> str:
        if case.carrier == "rest":
            await exchange(product.http, _whole(case), half_close=False)
        else:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await infer(case.body, timeout=PATIENCE_S)
        return ""

    async def send_raw(case: Bytes) -> str:
        await exchange(product.grpc if case.name.startswith("h2/") else product.http, (case.data,), half_close=True)
        return ""

    await each(CASES, send)
    before = resident_kib(product.pid)
    for _ in range(scale(1, 10)):
        await each(CASES, send)
        await each((*http1_cases(), *http2_cases()), send_raw)
    growth = resident_kib(product.pid) - before

    measured(f"{growth} KiB more than {before} KiB")
    assert growth < GROWTH_KIB
