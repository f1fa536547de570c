"""Layers wrap in the order in which they are written."""

from __future__ import annotations

from penstock_adapters.protocol.body import RequestBody, ResponseBody
from penstock_adapters.protocol.message import RequestMessage, ResponseMessage
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.service import Layer, Service, stack
from tests.support.headers import Given

REQUEST = InferenceRequest("m", RequestBody(message=RequestMessage("", ())), Given())
RESPONSE = InferenceResponse(ResponseBody(ResponseMessage("m", "1", "", ())))


def noting(name: str, notes: list[str]) -> Layer:
    def layer(inner: Service) -> Service:
        async def service(request: InferenceRequest) -> InferenceResponse:
            notes.append(f"{name} in")
            response = await inner(request)
            notes.append(f"{name} out")
            return response

        return service

    return layer


async def answer(request: InferenceRequest) -> InferenceResponse:
    assert request is REQUEST
    return RESPONSE


async def test_the_first_layer_named_is_the_outermost() -> None:
    notes: list[str] = []

    response = await stack(answer, noting("a", notes), noting("b", notes))(REQUEST)

    assert response is RESPONSE
    assert notes == ["a in", "b in", "b out", "a out"]


async def test_a_stack_without_layers_is_the_service_itself() -> None:
    assert stack(answer) is answer
