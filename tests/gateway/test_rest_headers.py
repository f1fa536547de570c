"""What the edge reads in request headers."""

from __future__ import annotations

from math import inf

import pytest

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_gateway.rest_headers import RestHeaders, binary_length, check_charset, timeout_s


def headers(**fields: str) -> RestHeaders:
    return RestHeaders([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


def test_headers_are_looked_up_by_lower_case_name() -> None:
    found = headers(x_user="ann")

    assert (found.get("x-user"), found.get("x-other"), found.get("x-other", "none")) == ("ann", "", "none")


def test_repeated_lists_are_joined_and_repeated_single_values_refused() -> None:
    assert RestHeaders([(b"accept", b"a"), (b"x", b""), (b"accept", b"b")]).get("accept") == "a, b"
    for name in (b"inference-header-content-length", b"content-type", b"penstock-timeout-ms", b"host"):
        with pytest.raises(InvalidArgument):
            RestHeaders([(name, b"1"), (name, b"1")])


@pytest.mark.parametrize(("value", "seconds"), [("1500", 1.5), ("0", inf), ("1", 0.001)])
def test_the_timeout_header_is_in_milliseconds(value: str, seconds: float) -> None:
    assert timeout_s(headers(penstock_timeout_ms=value)) == seconds
    assert timeout_s(headers()) == inf


@pytest.mark.parametrize("value", ["", "-1", "1.5", "1e3", "ten", "+1", "1" * 13, "\u0661"])
def test_a_timeout_that_is_no_whole_number_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument):
        timeout_s(headers(penstock_timeout_ms=value))


def test_the_binary_length_is_one_to_ten_digits() -> None:
    assert binary_length(headers()) is None
    assert binary_length(headers(inference_header_content_length="0000000012")) == 12
    for value in ("", "-1", "+1", " 1", "1 ", "1e1", "0x1", "12345678901", "\u0661"):
        with pytest.raises(InvalidArgument):
            binary_length(headers(inference_header_content_length=value))


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ("application/json", True),
        ("anything at all", True),
        ("application/json; charset=utf-8", True),
        ('application/json;charset="UTF-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/json; x=y; CHARSET = utf-16", False),
    ],
)
def test_only_a_foreign_charset_matters_in_content_type(value: str, fine: bool) -> None:
    if fine:
        check_charset(headers(content_type=value))
    else:
        with pytest.raises(InvalidArgument):
            check_charset(headers(content_type=value))
