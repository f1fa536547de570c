"""tritonclient's four clients, unchanged, against the example models: every call they share, asked of each of them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Sequence
from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from penstock_gateway.rest import EXTENSIONS
from tests.support import digits
from tests.support.penstock import Penstock

pytestmark = pytest.mark.system

MODULES = {
    "http": tritonclient.http,
    "grpc": tritonclient.grpc,
    "http.aio": tritonclient.http.aio,
    "grpc.aio": tritonclient.grpc.aio,
}
SENTENCES = ("please reset my password", "Where is my parcel?")
INTENTS = ("account", "delivery")


class Client:
    """One of the four. They differ in what awaits and in the shape of what they return; here they do not."""

    def __init__(self, name: str, product: Penstock) -> None:
        self.module = MODULES[name]
        self.is_grpc = name.startswith("grpc")
        port = product.grpc if self.is_grpc else product.http
        self.raw = self.module.InferenceServerClient(f"127.0.0.1:{port}")

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        """What the method returns; of gRPC messages the JSON form."""
        if self.is_grpc and method.startswith("get_"):
            options["as_json"] = True
        found = getattr(self.raw, method)(*args, **options)
        return await found if inspect.isawaitable(found) else found

    async def entries(self, method: str, key: str, *args: Any) -> list[dict[str, Any]]:
        """What is a list over REST and a message with a list over gRPC."""
        found = await self.call(method, *args)
        return list(found[key] if isinstance(found, dict) else found)

    def image(self, batch: digits.Array, **options: Any) -> Any:
        tensor = self.module.InferInput("image", list(batch.shape), "FP32")
        return tensor.set_data_from_numpy(batch, **options) or tensor

    def text(self, words: Sequence[str]) -> Any:
        tensor = self.module.InferInput("text", [len(words), 1], "BYTES")
        return tensor.set_data_from_numpy(np.array([[word.encode()] for word in words], dtype=object)) or tensor

    async def infer(self, model: str, inputs: list[Any], **options: Any) -> Any:
        return await self.call("infer", model, inputs, **options)

    async def close(self) -> None:
        await self.call("close")


@pytest.fixture(params=MODULES)
async def client(request: pytest.FixtureRequest, examples: Penstock) -> AsyncIterator[Client]:
    opened = Client(request.param, examples)
    yield opened
    await opened.close()


def said(result: Any) -> digits.Answered:
    """The bits of an answer of the digits."""
    return digits.Answered(result.as_numpy("label").tobytes(), result.as_numpy("logits").tobytes())


def head(result: Any) -> dict[str, str]:
    """Model, version and id of an answer."""
    answer = result.get_response()
    names = ("model_name", "model_version", "id")
    return {name: answer.get(name, "") if isinstance(answer, dict) else getattr(answer, name) for name in names}


async def test_the_server_is_live_ready_and_described(client: Client) -> None:
    assert await client.call("is_server_live") is True
    assert await client.call("is_server_ready") is True

    metadata = await client.call("get_server_metadata")

    assert metadata["name"] == "penstock"
    assert metadata["version"]
    assert metadata["extensions"] == list(EXTENSIONS)


@pytest.mark.parametrize(
    ("model", "version"),
    [("digits", ""), ("digits", "1"), ("digits", "2"), ("digits-live", ""), ("digits-triton", "1"), ("intent", "")],
)
async def test_models_are_ready(client: Client, model: str, version: str) -> None:
    assert await client.call("is_model_ready", model, version) is True


@pytest.mark.parametrize(("model", "version"), [("nobody", ""), ("digits", "3"), ("digits", "latest")])
async def test_what_is_unknown_is_not_ready(client: Client, model: str, version: str) -> None:
    if client.is_grpc:
        with pytest.raises(InferenceServerException) as refused:
            await client.call("is_model_ready", model, version)
        assert "NOT_FOUND" in str(refused.value.status())
    else:
        assert await client.call("is_model_ready", model, version) is False


@pytest.mark.parametrize(
    ("model", "version", "versions"),
    [("digits", "", ["1", "2"]), ("digits", "2", ["2"]), ("digits-triton", "", ["1"])],
)
async def test_metadata_names_versions_and_tensors(
    client: Client, model: str, version: str, versions: list[str]
) -> None:
    found = await client.call("get_model_metadata", model, version)

    assert (found["name"], sorted(found["versions"])) == (model, versions)
    assert found["platform"]
    assert [_plain(tensor) for tensor in found["inputs"]] == [("image", "FP32", [-1, 64])]
    assert [_plain(tensor) for tensor in found["outputs"]] == [("label", "INT64", [-1]), ("logits", "FP32", [-1, 10])]


def _plain(tensor: dict[str, Any]) -> tuple[str, str, list[int]]:
    return tensor["name"], tensor["datatype"], [int(size) for size in tensor["shape"]]


@pytest.mark.parametrize("model", ["digits", "digits-triton", "digits-live", "intent"])
async def test_the_configuration_names_the_same_tensors_as_the_metadata(client: Client, model: str) -> None:
    metadata = await client.call("get_model_metadata", model)
    config = await client.call("get_model_config", model)
    config = config.get("config", config)

    assert config["name"] == model
    for written, told in (("input", "inputs"), ("output", "outputs")):
        assert [tensor["name"] for tensor in config[written]] == [tensor["name"] for tensor in metadata[told]]


async def test_statistics_count_every_inference(client: Client) -> None:
    async def counted() -> tuple[int, int]:
        [entry] = await client.entries("get_inference_statistics", "model_stats", "digits", "2")
        assert (entry["name"], entry["version"]) == ("digits", "2")
        return int(entry["inference_count"]), int(entry["inference_stats"]["success"]["count"])

    await client.infer("digits", [client.image(digits.images()[:1])], model_version="2")
    before = await counted()
    await client.infer("digits", [client.image(digits.images()[:3])], model_version="2")
    after = await counted()

    assert (after[0] - before[0], after[1] - before[1]) == (3, 1)


async def test_the_index_lists_every_version(client: Client) -> None:
    index = await client.entries("get_model_repository_index", "models")

    ready = {(entry["name"], entry.get("version", "")) for entry in index if entry["state"] == "READY"}
    assert {("digits", "1"), ("digits", "2"), ("digits-triton", "1"), ("intent", "1")} <= ready


@pytest.mark.parametrize(
    ("model", "asked", "answered"),
    [("digits", "", "1"), ("digits", "1", "1"), ("digits", "2", "2"), ("digits-triton", "", "1")],
)
async def test_the_version_asked_for_answers_with_the_right_bits(
    client: Client, model: str, asked: str, answered: str
) -> None:
    images = digits.images()[:7]

    result = await client.infer(model, [client.image(images)], model_version=asked, request_id="a-1")

    assert said(result) == digits.truth(images, answered)
    assert head(result) == {"model_name": model, "model_version": answered, "id": "a-1"}


async def test_a_route_answers_with_a_version_of_its_targets_and_keeps_a_user_on_it(client: Client) -> None:
    images = digits.images()[:1]

    versions = [
        head(await client.infer("digits-live", [client.image(images)], headers={"x-user": "ann"}))["model_version"]
        for _ in range(5)
    ]

    assert len(set(versions)) == 1
    assert versions[0] in {"1", "2"}


async def test_text_goes_in_and_comes_out(client: Client) -> None:
    result = await client.infer("intent", [client.text(SENTENCES)])

    assert tuple(word.decode() for word in result.as_numpy("intent").ravel()) == INTENTS
    assert result.as_numpy("proba").shape == (2, 5)


async def test_only_the_outputs_asked_for_come_back(client: Client) -> None:
    images = digits.images()[:2]
    wanted = [client.module.InferRequestedOutput("logits")]

    result = await client.infer("digits", [client.image(images)], outputs=wanted)

    assert result.as_numpy("label") is None
    assert result.as_numpy("logits").tobytes() == digits.truth(images).logits


async def test_classification_is_done_for_who_asks(client: Client) -> None:
    wanted = [client.module.InferRequestedOutput("logits", class_count=3)]

    result = await client.infer("digits", [client.image(digits.images()[:1])], outputs=wanted)

    best = [word.decode().split(":")[1] for word in result.as_numpy("logits").ravel()]
    logits = np.frombuffer(digits.truths()[0].logits, "<f4")
    assert best == [str(index) for index in np.argsort(-logits)[:3]]


async def test_errors_are_the_servers_own_words(client: Client) -> None:
    with pytest.raises(InferenceServerException, match="model 'nobody'"):
        await client.infer("nobody", [client.image(digits.images()[:1])])
    with pytest.raises(InferenceServerException, match="tensor 'image'"):
        await client.infer("digits", [client.image(digits.images()[:1, :63])])
    wanted = [client.module.InferRequestedOutput("no-such-output")]
    with pytest.raises(InferenceServerException, match="no-such-output"):
        await client.infer("digits", [client.image(digits.images()[:1])], outputs=wanted)


@pytest.mark.parametrize("name", ["http", "http.aio"])
@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
async def test_every_form_of_a_rest_request_gives_the_same_bits(
    examples: Penstock, name: str, algorithm: str | None, binary: bool
) -> None:
    client, images = Client(name, examples), digits.images()[:40]
    wanted = [client.module.InferRequestedOutput(output, binary_data=binary) for output in ("label", "logits")]

    result = await client.infer(
        "digits",
        [client.image(images, binary_data=binary)],
        outputs=wanted,
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    await client.close()

    assert said(result) == digits.truth(images)


async def test_the_http_client_collects_answers_later(examples: Penstock) -> None:
    client, images = Client("http", examples), digits.images()[:8]

    waiting = [client.raw.async_infer("digits", [client.image(images[n : n + 1])]) for n in range(8)]
    results = [pending.get_result() for pending in waiting]
    client.raw.close()

    assert [said(result) for result in results] == list(digits.truths()[:8])


async def test_the_grpc_client_calls_back(examples: Penstock) -> None:
    client, images = Client("grpc", examples), digits.images()[:8]
    answers: Queue[tuple[Any, Any]] = Queue()

    def answered(result: Any, error: Any) -> None:
        answers.put((result, error))

    for n in range(8):
        client.raw.async_infer("digits", [client.image(images[n : n + 1])], answered, request_id=str(n))
    found = [answers.get(timeout=30) for _ in range(8)]
    client.raw.close()

    assert [error for _, error in found if error] == []
    by_id = {int(head(result)["id"]): said(result) for result, _ in found}
    assert [by_id[n] for n in range(8)] == list(digits.truths()[:8])
