"""The gRPC framing."""

from __future__ import annotations

import gzip
import zlib
from math import inf
from urllib.parse import unquote

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import InvalidArgument, PenstockError, TooLarge, Unimplemented
from penstock_gateway.grpc_wire import announced_size, error_trailers, ok_trailers, prefix, timeout_s, unpacked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", inf), ("1S", 1.0), ("250m", 0.25), ("99999999u", 99.999999), ("5n", 5e-9), ("2M", 120.0), ("1H", 3600.0)],
)
def test_timeouts_are_read(value: str, seconds: float) -> None:
    assert timeout_s(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["1", "S", "-1S", "1.5S", "123456789S", "1s", " 1S", "1S,2S"])
def test_timeouts_of_another_form_are_refused(value: str) -> None:
    with pytest.raises(InvalidArgument):
        timeout_s(value)


@given(st.binary(max_size=100))
def test_a_message_reads_back(message: bytes) -> None:
    data = prefix(len(message)) + message

    assert announced_size(data, 100) == len(data)
    assert unpacked(data, "", 100) == message


def test_the_announced_size_is_capped_before_it_arrives() -> None:
    assert announced_size(b"\0\0\0", 10) is None
    with pytest.raises(TooLarge):
        announced_size(prefix(11), 10)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_messages_are_inflated_up_to_the_cap(encoding: str, pack: object) -> None:
    assert callable(pack)
    packed = pack(b"a" * 1000)
    data = b"\x01" + prefix(len(packed))[1:] + packed

    assert unpacked(data, encoding, 1000) == b"a" * 1000
    with pytest.raises(TooLarge):
        unpacked(data, encoding, 999)


@pytest.mark.parametrize(
    ("data", "encoding", "kind"),
    [
        (b"\x01\0\0\0\x01a", "", InvalidArgument),
        (b"\x01\0\0\0\x01a", "identity", InvalidArgument),
        (b"\x02\0\0\0\x01a", "gzip", InvalidArgument),
        (b"\x01\0\0\0\x01a", "gzip", InvalidArgument),
        (b"\x01\0\0\0\x01a", "snappy", Unimplemented),
    ],
)
def test_what_cannot_be_inflated_is_refused(data: bytes, encoding: str, kind: type[PenstockError]) -> None:
    with pytest.raises(kind):
        unpacked(data, encoding, 100)


@given(st.text(max_size=80))
def test_error_texts_survive_the_wire(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    found = {str(name): str(value) for name, value in hpack.Decoder().decode(error_trailers(5, clean, (("a", "b"),)))}

    assert (found["grpc-status"], unquote(found["grpc-message"]), found["a"]) == ("5", clean, "b")
    assert found["grpc-message"].isascii()


def test_ok_is_status_zero() -> None:
    assert [(str(n), str(v)) for n, v in hpack.Decoder().decode(ok_trailers((("x", "y"),)))] == [
        ("grpc-status", "0"),
        ("x", "y"),
    ]
