"""What the codecs make of a case, without a server: the reference the servers are held against."""

from __future__ import annotations

import re

from google.protobuf.message import DecodeError

from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.compression import coding_of, decompress
from penstock_adapters.protocol.errors import InvalidArgument, PenstockError
from penstock_adapters.protocol.limits import DEFAULT_LIMITS
from penstock_adapters.protocol.messages import ModelInferRequest
from penstock_adapters.protocol.wire import RestWire
from tests.corpora import SIGNATURE, Case


def verdict(case: Case) -> tuple[int, str]:
    """HTTP status and reason word; 200 and "" if the request is good. Raises whatever is not a PenstockError."""
    try:
        _body(case).check(SIGNATURE)
    except PenstockError as error:
        return error.code.http, error.reason
    return 200, ""


def _body(case: Case) -> RequestBody:
    if case.carrier == "grpc":
        message = ModelInferRequest()
        try:
            message.MergeFromString(case.body)
        except DecodeError:
            raise InvalidArgument("protobuf_invalid", message="ModelInferRequest") from None
        return RequestBody(grpc=message)
    body = case.body
    coding = coding_of(case.headers.get("content-encoding", ""))
    if coding is not None:
        body = decompress(body, coding, DEFAULT_LIMITS.body)
    length = case.headers.get("inference-header-content-length")
    if length is None:
        return RequestBody(rest=RestWire((body,)))
    if not re.fullmatch("[0-9]{1,10}", length):
        raise InvalidArgument("binary_header", size=len(body))
    return RequestBody(rest=RestWire((body,), int(length)))
