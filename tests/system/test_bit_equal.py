"""The same digits give the same bits: over every carrier, in process and through a real Triton, singly and in a batch."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator

import grpc
import numpy as np
import pytest

from penstock_adapters.protocol.messages import METHODS
from tests.support import digits
from tests.support.digits import Answered, Array
from tests.support.penstock import Penstock

pytestmark = pytest.mark.system

Ask = Callable[[str, Array], Answered]
PLACES = {"digits": "digits-1-local", "digits-triton": "digits-1-triton"}
"""Model -> the deployment that must have served it: in process, and on Triton."""


@pytest.fixture(scope="module", params=["REST JSON", "REST binary", "gRPC"])
def ask(request: pytest.FixtureRequest, examples: Penstock) -> Iterator[Ask]:
    """One way to ask version 1 of a model: its answer's bits."""
    if request.param == "gRPC":
        with grpc.insecure_channel(f"127.0.0.1:{examples.grpc}") as channel:
            yield _over_grpc(channel)
        return
    connection = http.client.HTTPConnection("127.0.0.1", examples.http, timeout=30)
    yield _over_rest(connection, binary=request.param == "REST binary")
    connection.close()


def _over_rest(connection: http.client.HTTPConnection, *, binary: bool) -> Ask:
    def ask(model: str, batch: Array) -> Answered:
        body, length = digits.binary_body(batch) if binary else (digits.json_body(batch), 0)
        headers = {digits.LENGTH: str(length)} if binary else {}
        connection.request("POST", f"/v2/models/{model}/versions/1/infer", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert (answer.status, answer.headers["penstock-served-by"]) == (200, PLACES[model]), said
        if not binary:
            assert answer.headers.get(digits.LENGTH) is None
            return digits.from_json(said)
        return digits.from_binary(said, int(answer.headers[digits.LENGTH]))

    return ask


def _over_grpc(channel: grpc.Channel) -> Ask:
    infer = METHODS["ModelInfer"]
    call = channel.unary_unary(infer.path, infer.request.SerializeToString, infer.response.FromString)

    def ask(model: str, batch: Array) -> Answered:
        answer, state = call.with_call(digits.grpc_body(model, batch, "1"), timeout=30, wait_for_ready=True)
        assert dict(state.trailing_metadata())["penstock-served-by"] == PLACES[model]
        return digits.from_grpc(answer)

    return ask


@pytest.mark.parametrize("model", PLACES)
def test_every_image_on_its_own_has_the_bits_of_the_bare_model(model: str, ask: Ask) -> None:
    found = [ask(model, digits.images()[n : n + 1]) for n in range(len(digits.images()))]

    assert len(found) == 450
    assert [n for n, answer in enumerate(found) if answer != digits.truths()[n]] == []


@pytest.mark.parametrize("model", PLACES)
def test_all_images_in_one_batch_have_the_bits_of_the_bare_model(model: str, ask: Ask) -> None:
    assert ask(model, digits.images()) == digits.truth(digits.images())


def test_the_model_knows_its_digits() -> None:
    """Equal bits of nonsense would prove nothing."""
    label = b"".join(answer.label for answer in digits.truths())
    right = (digits.labels() == np.frombuffer(label, "<i8")).sum()

    assert right == 435
