from __future__ import annotations

import pytest

from penstock_adapters.fake import SIGNATURE
from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import Signature
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_adapters.protocol.wire import RestWire
from penstock_router.layers.checked import checked
from penstock_router.service import stack
from tests.support.park import Headers, Park, ask


async def test_what_the_signature_rules_out_never_reaches_the_backend() -> None:
    park = Park("m@1")
    service = stack(park.at("").infer, checked(lambda: SIGNATURE))
    with pytest.raises(InvalidArgument, match="takes FP32, not INT32"):
        await service(ask("m", "1", datatype="INT32"))
    assert not park.at("").calls


async def test_without_a_signature_the_request_is_still_checked_for_itself() -> None:
    service = stack(Park("m@1").at("").infer, checked(lambda: None))
    with pytest.raises(InvalidArgument, match="not a datatype"):
        await service(ask("m", "1", datatype="FLOAT"))


async def test_a_signature_learnt_later_counts_from_then_on() -> None:
    learnt: list[Signature | None] = [None]

    async def echo(request: InferenceRequest) -> InferenceResponse:
        return await fake.infer(request)

    fake = Park("m@1").at("")
    service = stack(echo, checked(lambda: learnt[0]))
    assert await service(ask("m", "1", datatype="INT32"))
    learnt[0] = SIGNATURE
    with pytest.raises(InvalidArgument):
        await service(ask("m", "1", datatype="INT32"))


async def test_much_json_is_judged_just_the_same() -> None:
    def asked(last: str) -> InferenceRequest:
        values = "1.25," * 59_999 + last
        text = f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,60000],"data":[{values}]}}]}}'
        body = RequestBody(rest=RestWire((text.encode(),)))
        assert body.heavy
        return InferenceRequest("m", body, Headers(), "1")

    service = stack(Park("m@1").at("").infer, checked(lambda: SIGNATURE))
    assert (await service(asked("2"))).body.message.outputs
    with pytest.raises(InvalidArgument, match="index 59999"):
        await service(asked('"two"'))
