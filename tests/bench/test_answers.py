from __future__ import annotations

import pytest

from tests.bench import grpc_wire, rest_wire
from tests.bench.answers import Checker, Head, read_head
from tests.bench.calls import Call, small
from tests.bench.jobs import Form

CALL = small("digits", 7)


def answer(call: Call, form: Form) -> tuple[bytes, int | None]:
    if form == "grpc":
        return grpc_wire.write_answer(call.model, call.id, call.outputs), None
    header, raw = rest_wire.write_answer(call.model, call.id, call.outputs, binary=form == "binary")
    return header + b"".join(raw), len(header) if raw else None


@pytest.mark.parametrize("form", ["json", "binary", "grpc"])
def test_the_right_answer_is_right_the_second_time_too(form: Form) -> None:
    checker, (body, length) = Checker([CALL], form), answer(CALL, form)

    checker.check(0, body, length)
    checker.check(0, body, length)

    assert (checker.ok, checker.wrong, checker.failed) == (2, 0, 0)


@pytest.mark.parametrize("form", ["binary", "grpc"])
def test_one_wrong_byte_in_a_tensor_is_seen_even_after_right_answers(form: Form) -> None:
    checker, (body, length) = Checker([CALL], form), answer(CALL, form)
    checker.check(0, body, length)
    raw = CALL.outputs[0].array.tobytes()
    at = body.index(raw) + 3

    checker.check(0, body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], length)

    assert (checker.ok, checker.wrong) == (1, 1)
    assert checker.first_complaint == "logits has other values"


def test_one_wrong_digit_in_json_is_seen() -> None:
    checker, (body, _) = Checker([CALL], "json"), answer(CALL, "json")
    digit = str(int(CALL.outputs[1].array[0])).encode()

    checker.check(0, body.replace(digit, b"1" + digit[1:] if digit[:1] != b"1" else b"2" + digit[1:]))

    assert checker.wrong == 1


def test_the_answer_to_another_request_is_wrong() -> None:
    checker, (body, length) = Checker([CALL], "binary"), answer(small("digits", 8), "binary")

    checker.check(0, body, length)

    assert checker.wrong == 1
    assert "r8" in checker.first_complaint


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"model_name":"digits","outputs":[{}]}', b"\xff"])
def test_garbage_is_wrong_not_an_exception(body: bytes) -> None:
    checker = Checker([CALL], "json")

    checker.check(0, body)

    assert checker.wrong == 1


def test_bytes_left_over_are_wrong() -> None:
    checker, (body, length) = Checker([CALL], "binary"), answer(CALL, "binary")

    checker.check(0, body + b"\0", length)

    assert checker.wrong == 1


def test_a_head_is_read_in_any_case() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nInference-Header-Content-Length:7\r\nX: y"

    assert read_head(head) == Head(200, 12, 7)


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        read_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")
