from __future__ import annotations

import pytest

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.message import RequestedOutput, RequestMessage
from penstock_adapters.testing.carriers import CARRIERS, CarrierName
from penstock_adapters.testing.cases import sample


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_carrier_brings_the_same_message(datatype: str, carrier: CarrierName) -> None:
    tensor = sample(datatype, (2, 3))
    message = RequestMessage("7", (tensor,), (RequestedOutput("y"),), {"a": 1})

    got = CARRIERS[carrier](message).message

    assert (got.id, dict(got.parameters), [output.name for output in got.outputs]) == ("7", {"a": 1}, ["y"])
    assert [(t.name, t.datatype, t.shape, bytes(t.data)) for t in got.inputs] == [
        ("x", datatype, (2, 3), bytes(tensor.data))
    ]
