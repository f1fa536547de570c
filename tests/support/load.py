"""Load whose every answer is checked: callers in closed loops over REST keep-alive and gRPC, and one class per outcome."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import count
from math import inf
from typing import Any, Final, NamedTuple, Protocol

import grpc
import numpy as np

from penstock_adapters.fake import SIGNATURE, oracle
from penstock_adapters.protocol.message import Tensor
from penstock_adapters.protocol.messages import METHODS, ModelInferRequest
from tests.support import digits
from tests.support.penstock import Penstock

HANG_S: Final = 60.0
"""Longer than any deadline in the tests: a request that takes this long hangs, which is a failure."""
PROBLEMS_MAX: Final = 10
INFER: Final = METHODS["ModelInfer"]


class Outcome(StrEnum):
    """Exactly one per request."""

    OK = "ok"
    """The right answer inside its deadline."""
    WRONG = "wrong"
    """Success with any other answer."""
    SHED = "shed"
    """429 or 503 with Retry-After; over gRPC RESOURCE_EXHAUSTED or UNAVAILABLE in the server's own words."""
    FAILED = "failed"
    """Any other error, a broken connection, no answer at all."""
    LATE = "late"
    """The right answer, after the deadline."""
    TURNED_AWAY = "turned away"
    """Nothing was sent: no connection could be made. Of a server that ends this is no failure: it had not accepted."""


class Answer(NamedTuple):
    """What came back. `status` in HTTP's numbers; 0 = nothing did, and `text` says why."""

    status: int
    text: str = ""
    outputs: Mapping[str, bytes] = {}
    version: str = ""
    retry_after: bool = False
    served_by: str = ""


TURNED_AWAY: Final = Answer(-1, "no connection")


class Question(NamedTuple):
    """One request, in the two forms callers send, and what answers it."""

    model: str
    body: bytes
    header_length: int
    message: bytes
    right: Callable[[Answer], bool]


Questions = Callable[[], Question]
"""Makes the next question; never twice the same one, so that a swapped answer is a wrong one."""


def about_digits(model: str = "digits", version: str = "1") -> Questions:
    """The test images one after the other, each on its own. `version` must answer, with exactly the model's bits."""
    images, truths, numbers = digits.images(), digits.truths(version), count(int(time.time()))
    made: dict[int, Question] = {}

    def make(n: int) -> Question:
        body, length = digits.binary_body(images[n : n + 1])
        message = digits.grpc_body(model, images[n : n + 1]).SerializeToString()

        def right(answer: Answer) -> bool:
            found = digits.Answered(answer.outputs.get("label", b""), answer.outputs.get("logits", b""))
            return answer.version == version and found == truths[n]

        return Question(model, body, length, message, right)

    def next_one() -> Question:
        n = next(numbers) % len(images)
        if n not in made:
            made[n] = make(n)
        return made[n]

    return next_one


def about_fakes(model: str, version: str = "1", remote: str = "") -> Questions:
    """Questions with an id of their own to a model of the fake backend, whose oracle tells the answer."""
    numbers = count()

    def next_one() -> Question:
        n = next(numbers)
        raw = np.array([n, n / 3], "<f4").tobytes()
        entry = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
        head = {"id": f"{model}-{n}", "inputs": [entry], "parameters": {"binary_data_output": True}}
        text = json.dumps(head).encode()
        message = ModelInferRequest(model_name=model, id=f"{model}-{n}", raw_input_contents=[raw])
        message.inputs.add(name="x", datatype="FP32", shape=(1, 2))

        def right(answer: Answer) -> bool:
            tensor = Tensor("x", "FP32", (1, 2), raw)
            [expected] = oracle(remote or model, version, f"{model}-{n}", [tensor], SIGNATURE.outputs)
            return answer.version == version and answer.outputs == {"y": bytes(expected.data)}

        return Question(model, text + raw, len(text), message.SerializeToString(), right)

    return next_one


class Caller(Protocol):
    """One client with one connection."""

    async def ask(self, question: Question, timeout_s: float) -> Answer: ...

    async def aclose(self) -> None: ...


class RestCaller:
    """A keep-alive connection that is opened when there is none, and given up when the server says it will close it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, question: Question, timeout_s: float) -> Answer:
        if self._open is None:
            try:
                self._open = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                return TURNED_AWAY
        timeout = f"Penstock-Timeout-Ms: {round(timeout_s * 1000)}\r\n" if timeout_s < inf else ""
        head = (
            f"POST /v2/models/{question.model}/infer HTTP/1.1\r\nHost: penstock\r\n{timeout}"
            f"Inference-Header-Content-Length: {question.header_length}\r\nContent-Length: {len(question.body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(HANG_S):
                return await self._exchange(*self._open, head.encode() + question.body)
        except (OSError, asyncio.IncompleteReadError) as error:
            await self.aclose()
            return Answer(0, f"REST: {error!r}")

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> Answer:
        writer.write(data)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            await self.aclose()
        return _rest_answer(int(lines[0].split(" ")[1]), headers, body)

    async def aclose(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _rest_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    served_by = headers.get("penstock-served-by", "")
    if status != 200:
        return Answer(status, body.decode(), retry_after="retry-after" in headers, served_by=served_by)
    at = int(headers.get(digits.LENGTH, len(body)))
    head, outputs = json.loads(body[:at]), {}
    for output in head["outputs"]:
        size = output["parameters"]["binary_data_size"]
        outputs[output["name"]] = body[at : at + size]
        at += size
    return Answer(status, "", outputs, head["model_version"], served_by=served_by)


class GrpcCaller:
    """A channel with a connection of its own.

    The library sends a call again only if GOAWAY said that it was not processed, as every HTTP/2 client may.
    """

    def __init__(self, port: int) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options)
        self._infer = self._channel.unary_unary(INFER.path, response_deserializer=INFER.response.FromString)

    async def ask(self, question: Question, timeout_s: float) -> Answer:
        call = self._infer(question.message, timeout=min(timeout_s, HANG_S))
        try:
            message = await call
        except grpc.aio.AioRpcError as error:
            return _grpc_error(error)
        outputs = dict(zip((o.name for o in message.outputs), message.raw_output_contents, strict=True))
        served_by = dict(await call.trailing_metadata()).get("penstock-served-by", "")
        return Answer(200, "", outputs, message.model_version, served_by=str(served_by))

    async def aclose(self) -> None:
        await self._channel.close()


_HTTP: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.NOT_FOUND: 404,
}


def _grpc_error(error: grpc.aio.AioRpcError) -> Answer:
    text = f"gRPC: {error.code()}: {error.details()}"
    said = dict(error.trailing_metadata() or ())
    if "penstock-reason" not in said:
        # The library's own words: it could not connect at all, or it lost what it had sent.
        refused = error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (error.details() or "")
        deadline = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return Answer(-1 if refused else 504 if deadline else 0, text)
    return Answer(
        _HTTP.get(error.code(), 400), text, retry_after=True, served_by=str(said.get("penstock-served-by", ""))
    )


def outcome(question: Question, answer: Answer, *, late: bool) -> Outcome:
    """The class of one exchange."""
    if answer.status == -1:
        return Outcome.TURNED_AWAY
    if answer.status == 200:
        if not question.right(answer):
            return Outcome.WRONG
        return Outcome.LATE if late else Outcome.OK
    return Outcome.SHED if answer.status in {429, 503} and answer.retry_after else Outcome.FAILED


class Tally:
    """How many requests ended how, the first of those that should not have, and what took longest."""

    def __init__(self) -> None:
        self.counts: Counter[Outcome] = Counter()
        self.statuses: Counter[int] = Counter()
        self.problems: list[str] = []
        self.times_s: list[float] = []
        self.slowest_s = 0.0

    def add(self, question: Question, answer: Answer, seconds: float, deadline_s: float) -> Outcome:
        found = outcome(question, answer, late=seconds > deadline_s)
        self.counts[found] += 1
        self.statuses[answer.status] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if found is Outcome.OK:
            self.times_s.append(seconds)
        elif found is not Outcome.TURNED_AWAY and len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"{found} {question.model}: {answer.status} {answer.text} after {seconds:.3f} s")
        return found

    @property
    def asked(self) -> int:
        """Requests that were sent."""
        return self.counts.total() - self.counts[Outcome.TURNED_AWAY]

    def __str__(self) -> str:
        counts = ", ".join(f"{self.counts[name]} {name}" for name in Outcome if self.counts[name])
        p50, p99 = (np.percentile(self.times_s, (50, 99)) * 1000).round(1) if self.times_s else (0, 0)
        return f"{counts}; p50 {p50} ms, p99 {p99} ms"


class Load:
    """Callers that ask until they are told to stop, or until they are turned away if that ends them."""

    def __init__(self, *, deadline_s: float = inf, until_turned_away: bool = False, pause_s: float = 0.0) -> None:
        self.tally = Tally()
        self._deadline_s = deadline_s
        self._until_turned_away = until_turned_away
        self._pause_s = pause_s
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, product: Penstock, questions: Questions, *, rest: int = 0, grpc_: int = 0) -> None:
        """Add callers over REST and over gRPC."""
        callers: list[Caller] = [RestCaller(product.http) for _ in range(rest)]
        callers += [GrpcCaller(product.grpc) for _ in range(grpc_)]
        self._tasks += [asyncio.create_task(self._work(caller, questions)) for caller in callers]

    async def _work(self, caller: Caller, questions: Questions) -> None:
        try:
            while not self._stop.is_set():
                question, started = questions(), time.monotonic()
                answer = await caller.ask(question, self._deadline_s)
                found = self.tally.add(question, answer, time.monotonic() - started, self._deadline_s)
                if found is Outcome.TURNED_AWAY:
                    if self._until_turned_away:
                        return
                    await asyncio.sleep(0.02)
                elif self._pause_s:
                    await asyncio.sleep(self._pause_s)
        finally:
            await caller.aclose()

    async def ended(self) -> Tally:
        """Wait until every caller has been turned away."""
        await asyncio.gather(*self._tasks)
        return self.tally

    async def stop(self) -> Tally:
        """Every caller ends with the request it has begun."""
        self._stop.set()
        return await self.ended()

    async def asked(self, number: int, *, patience_s: float = 120.0) -> None:
        """Wait until so many requests have been answered."""
        async with asyncio.timeout(patience_s):
            while self.tally.asked < number:  # noqa: ASYNC110 - the count grows in other tasks
                await asyncio.sleep(0.005)


@asynccontextmanager
async def loaded(load: Load) -> AsyncIterator[Load]:
    """Ends the callers however the block ends."""
    try:
        yield load
    finally:
        await load.stop()


def fake_models(backend: str, models: Sequence[str], **options: object) -> Iterator[dict[str, Any]]:
    """Manifests of models on an in-process fake backend."""
    yield manifest("Backend", backend, {"platform": "fake", "options": options})
    for model in models:
        yield manifest("Model", model, {"versions": [{"id": "1"}]})
        yield manifest("Deployment", f"{model}-1", {"model": f"{model}@1", "backend": backend})


def manifest(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, Any]:
    return {"apiVersion": "penstock/v1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
