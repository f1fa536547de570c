"""One prediction in each encoding gives the same answer, and says who served it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.cli.commands import Ran, penstock
from tests.support.edges import GrpcListener, RestListener, grpc_listener, rest_listener

REQUEST = {"id": "7", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2.5, -3, 4]}]}


@pytest.fixture
async def rest() -> AsyncIterator[RestListener]:
    async with rest_listener() as listener:
        yield listener


@pytest.fixture
async def grpc() -> AsyncIterator[GrpcListener]:
    async with grpc_listener() as listener:
        yield listener


@pytest.fixture
def request_file(tmp_path: Path) -> str:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(REQUEST))
    return str(path)


async def infer(rest: RestListener, *arguments: str, stdin: str = "") -> Ran:
    address = f"http://127.0.0.1:{rest.port}"
    return await asyncio.to_thread(penstock, "infer", *arguments, "--address", address, stdin=stdin)


async def test_every_encoding_gives_the_same_answer(rest: RestListener, grpc: GrpcListener, request_file: str) -> None:
    target = f"127.0.0.1:{grpc.port}"

    plain = await infer(rest, "digits", "-f", request_file)
    binary = await infer(rest, "digits", "-f", request_file, "--binary")
    over_grpc = await infer(rest, "digits", "-f", request_file, "--grpc", "--grpc-address", target)

    assert (plain.code, binary.code, over_grpc.code) == (0, 0, 0), plain.err + binary.err + over_grpc.err
    answer = json.loads(plain.out)
    assert answer["id"] == "7"
    assert answer["outputs"][0]["shape"] == [1, 3]
    assert answer == json.loads(binary.out) == json.loads(over_grpc.out)
    assert plain.err == binary.err == over_grpc.err
    assert plain.err.startswith("served by ")
    assert plain.err.endswith(", snapshot 7\n")


async def test_a_version_can_be_named(rest: RestListener, request_file: str) -> None:
    ran = await infer(rest, "digits", "-f", request_file, "--version", "1")

    assert json.loads(ran.out)["model_version"] == "1"


async def test_the_request_may_come_from_standard_input(rest: RestListener) -> None:
    ran = await infer(rest, "digits", "-f", "-", stdin=json.dumps(REQUEST))

    assert ran.code == 0


async def test_headers_are_shown_when_asked_for(rest: RestListener, request_file: str) -> None:
    ran = await infer(rest, "digits", "-f", request_file, "--show-headers")

    assert "penstock-generation: 7" in ran.err.splitlines()


@pytest.mark.parametrize("over", ["rest", "grpc"])
async def test_a_refusal_has_the_same_exit_code_over_rest_and_grpc(
    rest: RestListener, grpc: GrpcListener, tmp_path: Path, request_file: str, over: str
) -> None:
    more = ["--grpc", "--grpc-address", f"127.0.0.1:{grpc.port}"] if over == "grpc" else []
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"inputs": [{**REQUEST["inputs"][0], "shape": [1, 5]}]}))  # type: ignore[dict-item]

    unknown = await infer(rest, "nothing", "-f", request_file, *more)
    refused = await infer(rest, "digits", "-f", str(wrong), *more)

    assert (unknown.code, unknown.out) == (5, "")
    assert "model 'nothing' is not known" in unknown.err
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["m", "-f", "no.json"], 2, "no.json cannot be read"),
        (["m", "-f", "FILE", "--grpc", "--binary"], 2, "exclude each other"),
        (
            ["m", "-f", "FILE", "--address", "http://127.0.0.1:1"],
            3,
            "the predict address at http://127.0.0.1:1 cannot be reached",
        ),
        (
            ["m", "-f", "FILE", "--grpc", "--grpc-address", "127.0.0.1:1", "--timeout", "5"],
            3,
            "hint: is 127.0.0.1:1 the gRPC address?",
        ),
    ],
)
def test_what_cannot_be_sent_is_said(request_file: str, arguments: list[str], code: int, words: str) -> None:
    ran = penstock("infer", *[request_file if argument == "FILE" else argument for argument in arguments])

    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
