"""The behaviours every adapter shares, one test method each.

    class TestMine(AdapterConformance):
        @pytest.fixture
        async def adapter(self) -> AsyncIterator[Adapter]: ...      # connected to a server that is up

        def case(self, tensor: Tensor, request_id: str) -> Case: ...  # a model that takes this tensor, its right answer

The other hooks have defaults that leave their tests out: override what your backend can be made to do. Needs pytest and
pytest-asyncio in automatic mode.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, TypeVar

import ml_dtypes
import msgspec
import numpy as np
import pytest

from penstock_adapters.adapter import Adapter, Configured, Repository, Statistics
from penstock_adapters.protocol.body import RestWire
from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import DeadlineExceeded, Internal, InvalidArgument, NotFound, Unavailable
from penstock_adapters.protocol.message import Parameters, Tensor
from penstock_adapters.protocol.request import InferenceResponse
from penstock_adapters.protocol.tensors import from_array
from penstock_adapters.testing.carriers import CARRIERS, CarrierName
from penstock_adapters.testing.cases import Case, bits, request_for, sample

T = TypeVar("T")

PATIENCE_S = 30.0
"""Longer than anything here takes on a busy machine, shorter than a hung test."""
UNDECLARED = "make it possible by its hook or capability, or name this behaviour in the class's `cannot`"
BRIEF_S = 0.3
"""The deadline of calls that are made to miss it."""


class AdapterConformance:
    """See the module."""

    datatypes: ClassVar[frozenset[str]] = frozenset(DATATYPES)
    """Datatypes the backend can carry."""
    cannot: ClassVar[frozenset[str]] = frozenset()
    """Behaviours the backend cannot have, by the name of their test without `test_`: they are left out, in plain sight."""
    shape: ClassVar[tuple[int, ...]] = (2, 3)
    """A shape `case` has models for, in every datatype."""
    empty_shape: ClassVar[tuple[int, ...]] = (0, 3)

    def __init_subclass__(cls) -> None:
        """Leave out what the class cannot, so that nothing is skipped silently. Raises TypeError for a name that is none."""
        super().__init_subclass__()
        for name in cls.cannot:
            if not hasattr(AdapterConformance, f"test_{name}"):
                raise TypeError(f"{cls.__name__}.cannot: '{name}' is not a behaviour of the suite")
            setattr(cls, f"test_{name}", None)

    # -- what a subclass says about its backend --

    def case(self, tensor: Tensor, request_id: str) -> Case:
        raise NotImplementedError

    def slow(self) -> Case | None:
        """Takes much longer than BRIEF_S; PATIENCE_S suffices for a call after it, if its work stops with its caller."""
        return None

    def failing(self) -> Case | None:
        """Fails while the model runs."""
        return None

    def loadable(self) -> tuple[str, str, str] | None:
        """Name, version and artifact of a model that is not loaded and can be."""
        return None

    def unloadable(self) -> tuple[str, str, str] | None:
        """Name, version and artifact of a model that cannot be loaded."""
        return None

    async def unreachable(self) -> Adapter | None:
        """An adapter of a server that does not listen."""
        return None

    async def hung(self) -> Adapter | None:
        """An adapter of a server that accepts connections and never answers."""
        return None

    async def wire_seen(self, wire: RestWire) -> bytes | None:  # noqa: ARG002  (a hook's signature)
        """The body that reaches the backend when this request comes in over REST; None = REST is not its encoding."""
        return None

    async def parameters_seen(
        self,
        adapter: Adapter,  # noqa: ARG002  (a hook's signature)
        parameters: Parameters,  # noqa: ARG002
    ) -> Parameters | None:
        """The request parameters a model sees when these are sent; None = models cannot see any."""
        return None

    # -- encodings and values --

    @pytest.mark.parametrize("carrier", CARRIERS)
    @pytest.mark.parametrize("datatype", DATATYPES)
    async def test_every_datatype_by_every_carrier(self, adapter: Adapter, datatype: str, carrier: CarrierName) -> None:
        if datatype not in self.datatypes:
            pytest.skip(f"{datatype} is not a datatype of this backend")
        await self._check(adapter, sample(datatype, self.shape), carrier)

    @pytest.mark.parametrize("carrier", CARRIERS)
    async def test_tensors_without_elements(self, adapter: Adapter, carrier: CarrierName) -> None:
        for datatype in sorted(self.datatypes):
            await self._check(adapter, sample(datatype, self.empty_shape), carrier)

    async def test_scalars(self, adapter: Adapter) -> None:
        for datatype in sorted(self.datatypes):
            for carrier in CARRIERS:
                await self._check(adapter, sample(datatype, ()), carrier)

    @pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
    async def test_nan_and_infinity(self, adapter: Adapter, datatype: str) -> None:
        if datatype not in self.datatypes:
            pytest.skip(f"{datatype} is not a datatype of this backend")
        size = int(np.prod(self.shape))
        row = np.resize(np.array([np.nan, np.inf, -np.inf, -0.0]), size).reshape(self.shape)
        tensor = from_array("x", row.astype(ml_dtypes.bfloat16 if datatype == "BF16" else DATATYPES[datatype].dtype))
        for carrier in CARRIERS:
            await self._check(adapter, tensor, carrier)

    async def test_a_large_tensor(self, adapter: Adapter) -> None:
        shape = (1 << 10, *(1 << 10 for _ in self.shape[1:]))
        await self._check(adapter, sample("FP32", shape), "binary")

    async def test_an_equal_encoding_is_forwarded_byte_for_byte(self) -> None:
        head = (
            b'{ "id" : "7", "inputs" :[ {"name":"x", "datatype":"FP32","shape":[1,2],'
            b'"parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true} }'
        )
        sent = head + b"12345678"
        seen = await self.wire_seen(RestWire((sent,), len(head)))
        self._needs(seen is not None)
        assert seen == sent

    async def test_unknown_parameters_are_kept(self, adapter: Adapter) -> None:
        given: Parameters = {"penstock_conformance": "yes", "whole": 3, "flag": True}
        seen = await self.parameters_seen(adapter, given)
        self._needs(seen is not None)
        assert seen is not None
        assert {name: seen.get(name) for name in given} == given

    # -- who is asked, who answers --

    @pytest.mark.parametrize("request_id", ["", "7", "größe-42"])
    async def test_the_id_comes_back(self, adapter: Adapter, request_id: str) -> None:
        answer = await self._check(adapter, sample("FP32", self.shape), "binary", request_id)
        assert answer.body.message.id == request_id

    async def test_the_answer_names_model_and_version(self, adapter: Adapter) -> None:
        case = self.case(sample("FP32", self.shape), "")
        for version in (case.version, ""):
            message = (await adapter.infer(request_for(case, version=version))).body.message
            assert message.model_name == case.model
            assert message.model_version

    async def test_only_the_outputs_asked_for_come(self, adapter: Adapter) -> None:
        case = self.case(sample("FP32", self.shape), "")
        wanted = sorted(case.outputs)[:1]
        answer = await adapter.infer(request_for(case, outputs=tuple(wanted)))
        assert [tensor.name for tensor in answer.body.message.outputs] == wanted

    async def test_concurrent_callers_get_their_own_answers(self, adapter: Adapter) -> None:
        tensors = [from_array("x", np.full(self.shape, i, np.float32)) for i in range(40)]
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(self._check(adapter, t, "binary", f"id-{i}") for i, t in enumerate(tensors)))

    async def test_a_known_model_is_ready_and_described(self, adapter: Adapter) -> None:
        case = self.case(sample("FP32", self.shape), "")
        metadata = await adapter.metadata(case.model, case.version)

        assert await adapter.ready()
        assert await adapter.ready(case.model)
        assert await adapter.ready(case.model, case.version)
        assert metadata.name == case.model
        assert case.version in metadata.versions
        assert metadata.platform
        known = {meta.name: (meta.datatype, len(meta.shape)) for meta in metadata.inputs}
        assert {t.name: (t.datatype, len(t.shape)) for t in case.inputs}.items() <= known.items()
        assert set(case.outputs) <= {meta.name for meta in metadata.outputs}

    @pytest.mark.parametrize("version", ["", "987654"])
    async def test_a_model_the_backend_lacks_is_unavailable_and_not_found(self, adapter: Adapter, version: str) -> None:
        case = self.case(sample("FP32", self.shape), "")
        model = case.model if version else "no-such-model"
        absent = msgspec.structs.replace(case, model=model, version=version)

        with pytest.raises(Unavailable):
            await adapter.infer(request_for(absent))
        with pytest.raises(NotFound):
            await adapter.metadata(model, version)
        assert not await adapter.ready(model, version)

    # -- faults --

    async def test_a_tensor_of_the_wrong_rank_is_refused(self, adapter: Adapter) -> None:
        case = self.case(sample("FP32", self.shape), "")
        wrong = tuple(msgspec.structs.replace(tensor, shape=(1, *tensor.shape)) for tensor in case.inputs)

        with pytest.raises(InvalidArgument):
            await adapter.infer(request_for(msgspec.structs.replace(case, inputs=wrong)))

    async def test_a_failing_model_is_internal_and_says_nothing_of_its_own(self, adapter: Adapter) -> None:
        case = self._given(self.failing())

        with pytest.raises(Internal) as caught:
            await adapter.infer(request_for(case))

        assert caught.value.text == Internal("model_failed", model=case.model).text

    async def test_a_slow_call_ends_at_its_deadline(self, adapter: Adapter) -> None:
        case = self._given(self.slow())
        for caller_deadline in (False, True):
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(DeadlineExceeded):
                    await adapter.infer(request_for(case, within_s=BRIEF_S, caller_deadline=caller_deadline))

        await self._check(adapter, sample("FP32", self.shape), "binary")

    async def test_a_deadline_that_has_passed_is_exceeded(self, adapter: Adapter) -> None:
        case = self.case(sample("FP32", self.shape), "")
        with pytest.raises(DeadlineExceeded):
            await adapter.infer(request_for(case, within_s=-1))

    async def test_a_cancelled_caller_leaves_no_task_and_a_working_adapter(self, adapter: Adapter) -> None:
        case = self._given(self.slow())
        await self._check(adapter, sample("FP32", self.shape), "binary")
        before = asyncio.all_tasks()
        call = asyncio.create_task(adapter.infer(request_for(case, within_s=PATIENCE_S, caller_deadline=True)))
        await asyncio.sleep(0.05)

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        await self._check(adapter, sample("FP32", self.shape), "binary")
        assert asyncio.all_tasks() <= before

    async def test_nobody_listening_is_unavailable_and_not_ready(self) -> None:
        adapter = self._given(await self.unreachable())
        case = self.case(sample("FP32", self.shape), "")

        with pytest.raises(Unavailable):
            await adapter.infer(request_for(case))
        assert not await adapter.ready()
        assert not await adapter.ready(case.model)
        await adapter.aclose()

    async def test_a_hung_server_costs_no_more_than_the_deadline(self) -> None:
        adapter = self._given(await self.hung())
        case = self.case(sample("FP32", self.shape), "")

        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises((DeadlineExceeded, Unavailable)):
                await adapter.infer(request_for(case, within_s=BRIEF_S))
            assert not await adapter.ready()
        await adapter.aclose()

    async def test_aclose_may_come_twice_and_ends_every_task(self, adapter: Adapter) -> None:
        case = self.case(sample("FP32", self.shape), "")
        await adapter.infer(request_for(case))

        await adapter.aclose()
        await adapter.aclose()

        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(Unavailable):
            await adapter.infer(request_for(case))

    # -- powers --

    async def test_a_model_comes_and_goes(self, adapter: Adapter) -> None:
        name, version, artifact = self._given(self.loadable())
        assert isinstance(adapter, Repository)
        assert not await adapter.ready(name, version)

        async with asyncio.timeout(PATIENCE_S):
            for _ in range(2):
                await adapter.load(name, version, artifact=artifact)
                assert await adapter.ready(name, version)
                assert (name, version, "READY") in {(e.name, e.version, e.state) for e in await adapter.index()}
            for _ in range(2):
                await adapter.unload(name, version)
                assert not await adapter.ready(name, version)

        assert (name, version, "READY") not in {(e.name, e.version, e.state) for e in await adapter.index()}

    async def test_a_model_that_cannot_be_loaded_is_an_error_and_not_ready(self, adapter: Adapter) -> None:
        name, version, artifact = self._given(self.unloadable())
        assert isinstance(adapter, Repository)

        with pytest.raises(InvalidArgument):
            await adapter.load(name, version, artifact=artifact)

        assert not await adapter.ready(name, version)

    async def test_statistics_count_inferences(self, adapter: Adapter) -> None:
        self._needs(isinstance(adapter, Statistics))
        assert isinstance(adapter, Statistics)
        case = self.case(sample("FP32", self.shape), "")

        async def counts() -> tuple[int, int]:
            (row,) = await adapter.statistics(case.model, case.version)
            assert (row["name"], row["version"]) == (case.model, case.version)
            assert {"fail", "queue", "compute_input", "compute_infer", "compute_output"} <= set(row["inference_stats"])
            return row["execution_count"], row["inference_stats"]["success"]["count"]

        await adapter.infer(request_for(case))
        async with asyncio.timeout(PATIENCE_S):
            before = await counts()
            await adapter.infer(request_for(case))
            # Servers count after they answer, so the numbers may come late; they must not come twice.
            while (now := await counts()) < (before[0] + 1, before[1] + 1):  # noqa: ASYNC110 - nobody tells when
                await asyncio.sleep(0.01)
        assert now[0] - before[0] in {1, 2}

    async def test_the_configuration_names_the_tensors(self, adapter: Adapter) -> None:
        self._needs(isinstance(adapter, Configured))
        assert isinstance(adapter, Configured)
        case = self.case(sample("FP32", self.shape), "")

        config = await adapter.config(case.model, case.version)

        assert config["name"] == case.model
        assert isinstance(config["max_batch_size"], int)
        assert {t.name for t in case.inputs} <= {entry["name"] for entry in config["input"]}
        assert set(case.outputs) <= {entry["name"] for entry in config["output"]}
        with pytest.raises(NotFound):
            await adapter.config("no-such-model", "")

    # -- --

    async def _check(
        self, adapter: Adapter, tensor: Tensor, carrier: CarrierName, request_id: str = "c-1"
    ) -> InferenceResponse:
        """Ask, and compare every output bit by bit."""
        case = self.case(tensor, request_id)
        answer = await adapter.infer(request_for(case, carrier=carrier, request_id=request_id))
        found = {output.name: output for output in answer.body.message.outputs}
        assert set(found) == set(case.outputs)
        for name, right in case.outputs.items():
            got = found[name]
            assert (got.datatype, tuple(got.shape)) == (right.datatype, tuple(right.shape))
            assert bits(got) == bits(right)
        return answer

    @staticmethod
    def _needs(possible: object) -> None:
        assert possible, UNDECLARED

    @staticmethod
    def _given(hook: T | None) -> T:
        assert hook is not None, UNDECLARED
        return hook
