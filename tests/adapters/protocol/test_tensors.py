from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings

from penstock_adapters.protocol.message import Tensor
from penstock_adapters.protocol.tensors import (
    WALK_MAX,
    BytesFault,
    datatype_of,
    element_count,
    from_array,
    iterate_bytes,
    join_bytes,
    to_array,
    walk_bytes,
)
from tests.support.carriers import DATATYPES, Plain, tensors


@given(tensors())
@settings(max_examples=150, deadline=None)
def test_arrays_and_tensors_are_the_same_values(plain: Plain) -> None:
    tensor = Tensor("x", plain.datatype, tuple(plain.shape), plain.raw())

    array = to_array(tensor)
    again = from_array("x", array, plain.datatype)

    assert array.shape == tensor.shape
    assert (again.datatype, again.shape, bytes(again.data)) == (tensor.datatype, tensor.shape, tensor.data)
    if plain.datatype == "BYTES":
        assert array.ravel().tolist() == plain.values


@pytest.mark.parametrize("datatype", DATATYPES)
def test_scalars_and_zero_sizes(datatype: str) -> None:
    empty = Tensor("x", datatype, (0, 3), b"")
    assert to_array(empty).shape == (0, 3)
    assert from_array("x", to_array(empty)) == empty
    data = b"\0\0\0\0" if datatype == "BYTES" else bytes(to_array(empty).dtype.itemsize)
    scalar = Tensor("x", datatype, (), data)
    assert to_array(scalar).shape == ()
    assert bytes(from_array("x", to_array(scalar)).data) == data


def test_arrays_of_any_layout_are_taken() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)

    assert bytes(from_array("x", array.T).data) == array.T.tobytes()
    assert bytes(from_array("x", array[:, ::2]).data) == array[:, ::2].tobytes()
    assert bytes(from_array("x", array.astype(">i4")).data) == array.tobytes()
    assert from_array("x", np.zeros(1, ml_dtypes.bfloat16)).datatype == "BF16"


def test_text_and_byte_strings_become_bytes() -> None:
    assert from_array("x", np.array(["é", "b"])).data == join_bytes([b"\xc3\xa9", b"b"])
    assert from_array("x", np.array([b"a", "b"], object)).data == join_bytes([b"a", b"b"])
    assert from_array("x", np.array([b"a"])).data == join_bytes([b"a"])


def test_an_array_of_another_datatype_is_refused() -> None:
    with pytest.raises(ValueError, match="INT32"):
        from_array("x", np.zeros(1, np.int32), "FP32")
    with pytest.raises(ValueError, match="no v2 datatype"):
        datatype_of(np.zeros(1, np.complex64))


def test_views_do_not_copy_and_cannot_be_written() -> None:
    data = bytes(8)
    array = to_array(Tensor("x", "FP32", (2,), data))
    assert not array.flags.writeable
    assert array.base is not None


@pytest.mark.parametrize(
    ("data", "count", "kind", "found"),
    [
        (b"\1\0\0\0", 1, "prefix", 0),
        (b"\0\0\0", 1, "prefix", 0),
        (b"\0\0\0\0\xff\xff\xff\xff", 2, "prefix", 1),
        (b"\0\0\0\0" * 3, 2, "count", 3),
        (b"\0\0\0\0" * 3, 4, "count", 3),
        (b"", 1, "count", 0),
    ],
)
def test_every_prefix_and_the_count_are_checked(data: bytes, count: int, kind: str, found: int) -> None:
    with pytest.raises(BytesFault) as caught:
        walk_bytes(data, count)
    assert (caught.value.kind, caught.value.found) == (kind, found)


def test_text_is_checked_where_a_model_takes_text() -> None:
    data = join_bytes([b"a", b"\xff"])
    walk_bytes(data, 2)
    walk_bytes(join_bytes(["é".encode()]), 1, as_text=True)
    with pytest.raises(BytesFault) as caught:
        walk_bytes(data, 2, as_text=True)
    assert (caught.value.kind, caught.value.found) == ("text", 1)


def test_a_flood_of_surplus_elements_is_not_walked_to_its_end() -> None:
    with pytest.raises(BytesFault) as caught:
        walk_bytes(bytes(4 * WALK_MAX + 4000), 1)
    assert caught.value.found == WALK_MAX + 1


def test_a_view_is_walked_without_being_copied_whole() -> None:
    data = memoryview(b"xx" + join_bytes([b"a", b"bc"]))[2:]
    assert list(iterate_bytes(data)) == [b"a", b"bc"]


def test_products_are_exact() -> None:
    assert element_count((1 << 32, 1 << 32)) == 1 << 64
    assert element_count(()) == 1
