"""Metadata in and out."""

from __future__ import annotations

from math import inf

import pytest

from penstock_adapters.protocol.errors import InvalidArgument, NotFound, RateLimited, TooLarge
from penstock_gateway.grpc_metadata import GrpcHeaders, error_metadata


def test_metadata_is_looked_up_by_name() -> None:
    headers = GrpcHeaders({"x-user": "ann", "penstock-timeout-ms": "1500"})

    assert (headers.get("x-user"), headers.get("other", "none"), headers.timeout_s()) == ("ann", "none", 1.5)
    assert GrpcHeaders({}).timeout_s() == GrpcHeaders({"penstock-timeout-ms": "0"}).timeout_s() == inf


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "\u00b2"])
def test_a_timeout_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument):
        GrpcHeaders({"penstock-timeout-ms": value}).timeout_s()


def test_an_error_says_why_and_whether_to_come_back() -> None:
    assert error_metadata(NotFound("model_not_found", model="m")) == (("penstock-reason", "model_not_found"),)
    assert dict(error_metadata(TooLarge("body_too_large", limit=1)))["grpc-retry-pushback-ms"] == "-1"
    assert int(dict(error_metadata(RateLimited("rate_limited", retry_after_s=1)))["grpc-retry-pushback-ms"]) > 0
