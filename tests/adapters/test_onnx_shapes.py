from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.onnx_shapes import with_shape
from tests.support.onnx_models import identity_onnx


def test_a_scalar_has_a_shape_and_an_undeclared_one_has_none() -> None:
    content = identity_onnx(("scalar", "FP32", []), ("vector", "BYTES", ["n"]), ("any", "BF16", None))

    assert with_shape(content) == {"scalar", "y_scalar", "vector", "y_vector"}


@given(st.binary(max_size=200))
def test_garbage_raises_value_error_and_nothing_else(content: bytes) -> None:
    try:
        with_shape(content)
    except ValueError:
        return


def test_a_file_cut_short_is_garbage() -> None:
    content = identity_onnx(("x", "FP32", [1]))

    with pytest.raises(ValueError, match="cut short"):
        with_shape(content[:-3])
