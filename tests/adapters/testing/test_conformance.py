"""The suite passes what conforms, and catches what does not."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import msgspec
import pytest

from penstock_adapters.adapter import Adapter, EndpointSpec
from penstock_adapters.fake import FakeAdapter, Fault, oracle
from penstock_adapters.onnxruntime import connect
from penstock_adapters.protocol.body import ResponseBody
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import Signature, Tensor, TensorMetadata
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_adapters.testing import AdapterConformance, Case
from tests.support.onnx_models import failing_onnx, identity_onnx, slow_onnx

RANKS = {0: "scalar", 2: "matrix"}


def model_name(tensor: Tensor) -> str:
    return f"{RANKS[len(tensor.shape)]}_{tensor.datatype}"


class TestFakeConforms(AdapterConformance):
    cannot = frozenset(
        {
            "an_equal_encoding_is_forwarded_byte_for_byte",
            "unknown_parameters_are_kept",
            "a_tensor_of_the_wrong_rank_is_refused",
            "a_failing_model_is_internal_and_says_nothing_of_its_own",
            "a_slow_call_ends_at_its_deadline",
            "a_cancelled_caller_leaves_no_task_and_a_working_adapter",
            "nobody_listening_is_unavailable_and_not_ready",
            "a_hung_server_costs_no_more_than_the_deadline",
            "a_model_that_cannot_be_loaded_is_an_error_and_not_ready",
            "the_configuration_names_the_tensors",
        }
    )

    @pytest.fixture
    async def adapter(self) -> AsyncIterator[Adapter]:
        models = {
            (f"{kind}_{datatype}", "1"): Signature(
                (TensorMetadata("x", datatype, (-1,) * rank),), (TensorMetadata("y", datatype, (-1,) * rank),)
            )
            for rank, kind in RANKS.items()
            for datatype in DATATYPES
        }
        made = FakeAdapter(models)
        yield made
        await made.aclose()

    def case(self, tensor: Tensor, request_id: str) -> Case:
        name = model_name(tensor)
        outputs = oracle(name, "1", request_id, (tensor,), (TensorMetadata("y", tensor.datatype, tensor.shape),))
        return Case(name, "1", (tensor,), {"y": outputs[0]})

    def loadable(self) -> tuple[str, str, str]:
        return "new", "3", ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX files for every case."""
    made = tmp_path_factory.mktemp("conformance")
    for rank, kind in RANKS.items():
        for datatype in DATATYPES:
            shape = [f"d{i}" for i in range(rank)]
            (made / f"{kind}_{datatype}.onnx").write_bytes(identity_onnx(("x", datatype, shape)))
    (made / "slow.onnx").write_bytes(slow_onnx())
    (made / "failing.onnx").write_bytes(failing_onnx())
    (made / "broken.onnx").write_bytes(b"broken")
    return made


def sums(folder: Path) -> dict[Path, str]:
    """The good files and their sha256."""
    good = [path for path in folder.iterdir() if path.stem != "broken"]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in good}


class TestOnnxRuntimeConforms(AdapterConformance):
    cannot = frozenset(
        {
            "an_equal_encoding_is_forwarded_byte_for_byte",
            "unknown_parameters_are_kept",
            "nobody_listening_is_unavailable_and_not_ready",
            "a_hung_server_costs_no_more_than_the_deadline",
        }
    )

    @pytest.fixture
    async def adapter(self, folder: Path) -> AsyncIterator[Adapter]:
        made = await connect(EndpointSpec("here", "onnxruntime"))
        for path, sha256 in sums(folder).items():
            await made.load(path.stem, "1", artifact=str(path), sha256=sha256)
        self.folder_path = folder
        yield made
        await made.aclose()

    def case(self, tensor: Tensor, request_id: str) -> Case:  # noqa: ARG002
        return Case(model_name(tensor), "1", (tensor,), {"y_x": msgspec.structs.replace(tensor, name="y_x")})

    def slow(self) -> Case:
        return Case("slow", "1", (Tensor("n", "INT64", (), (10**12).to_bytes(8, "little")),), {})

    def failing(self) -> Case:
        return Case("failing", "1", (Tensor("i", "INT64", (1,), (99).to_bytes(8, "little")),), {})

    def loadable(self) -> tuple[str, str, str]:
        return "new", "2", str(self.folder_path / "matrix_FP32.onnx")

    def unloadable(self) -> tuple[str, str, str]:
        return "new", "2", str(self.folder_path / "broken.onnx")


class _Rounding(FakeAdapter):
    """Loses the last byte's lowest bit."""

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        message = (await super().infer(request)).body.message
        spoilt = bytearray(message.outputs[0].data)
        spoilt[-1] ^= 1
        output = msgspec.structs.replace(message.outputs[0], data=bytes(spoilt))
        return InferenceResponse(ResponseBody(msgspec.structs.replace(message, outputs=(output,))))


class _Forgetful(FakeAdapter):
    """Does not echo ids."""

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        message = (await super().infer(request)).body.message
        return InferenceResponse(ResponseBody(msgspec.structs.replace(message, id="")))


class _Suite(AdapterConformance):
    """Run by hand below."""

    __test__ = False

    def case(self, tensor: Tensor, request_id: str) -> Case:
        outputs = oracle("echo", "1", request_id, (tensor,), (TensorMetadata("y", "FP32", tensor.shape),))
        return Case("echo", "1", (tensor,), {"y": outputs[0]})

    def slow(self) -> Case:
        return Case("echo", "1", (), {})

    def unloadable(self) -> tuple[str, str, str]:
        return "bad", "1", ""


async def test_a_changed_bit_is_caught() -> None:
    with pytest.raises(AssertionError):
        await _Suite().test_every_datatype_by_every_carrier(_Rounding(), "FP32", "binary")


async def test_a_lost_id_is_caught() -> None:
    with pytest.raises(AssertionError):
        await _Suite().test_the_id_comes_back(_Forgetful(), "7")


async def test_a_deadline_that_does_not_bite_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_adapters.testing.conformance.PATIENCE_S", 0.05)
    deaf = FakeAdapter()
    deaf.fault = Fault(delay_s=inf)
    monkeypatch.setattr("penstock_adapters.testing.conformance.BRIEF_S", inf)

    with pytest.raises(TimeoutError):
        await _Suite().test_a_slow_call_ends_at_its_deadline(deaf)


async def test_a_load_that_should_fail_and_does_not_is_caught() -> None:
    with pytest.raises(pytest.fail.Exception):
        await _Suite().test_a_model_that_cannot_be_loaded_is_an_error_and_not_ready(FakeAdapter())
    adapter = FakeAdapter()
    adapter.load_error = InvalidArgument("model_unloadable", model="bad", problem="scripted")
    await _Suite().test_a_model_that_cannot_be_loaded_is_an_error_and_not_ready(adapter)


def test_a_behaviour_that_is_not_one_cannot_be_left_out() -> None:
    with pytest.raises(TypeError, match="'flying' is not a behaviour"):
        type("Odd", (AdapterConformance,), {"cannot": frozenset({"flying"})})


def test_what_is_left_out_is_not_collected_and_the_rest_is() -> None:
    made = type("Part", (AdapterConformance,), {"cannot": frozenset({"scalars"})})
    assert vars(made)["test_scalars"] is None
    assert "test_a_large_tensor" not in vars(made)
