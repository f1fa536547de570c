"""Parameters: string, bool, integer of 64 bits or finite double, on a request and on each tensor (protocol policy 6.11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from operator import itemgetter
from typing import Any, Final, Protocol

from penstock_adapters.protocol.errors import InvalidArgument, Unimplemented
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import NO_PARAMETERS, Parameters, ParameterValue

INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)
_UINT64_MAX: Final = (1 << 64) - 1
_STREAM_ONLY: Final = "triton_enable_empty_final_response"
_VALUE: Final = "a string, a boolean, a 64-bit integer or a finite number"
BINARY_FORM: Final = frozenset(("binary_data", "binary_data_output", "binary_data_size"))
"""How REST carries a tensor: consumed by the REST codec, meaningless and never forwarded elsewhere."""


def check_values(parameters: Parameters, limits: Limits) -> None:
    """Types, ranges and caps of one object's parameters. Raises InvalidArgument."""
    if len(parameters) > limits.parameters:
        raise InvalidArgument("too_many", count=len(parameters), what="parameters", limit=limits.parameters)
    for name, value in _in_order(parameters):
        if byte_length(name) > limits.parameter_key:
            raise InvalidArgument(
                "too_long", what="a parameter's name", size=byte_length(name), limit=limits.parameter_key
            )
        match value:
            case str():
                if byte_length(value) > limits.parameter_value:
                    size = byte_length(value)
                    raise InvalidArgument(
                        "too_long", what=f"parameter '{name}'", size=size, limit=limits.parameter_value
                    )
            case bool():
                pass
            case int():
                if not _INT64_MIN <= value <= _UINT64_MAX:
                    raise InvalidArgument("parameter_invalid", name=name, expected=_VALUE)
            case _:
                if not isfinite(value):
                    raise InvalidArgument("parameter_invalid", name=name, expected=_VALUE)


def _in_order(parameters: Parameters) -> list[tuple[str, ParameterValue]]:
    """By name: protobuf maps have no order, and of two faults every carrier must name the same."""
    return sorted(parameters.items(), key=itemgetter(0))


def byte_length(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def check_extensions(parameters: Parameters) -> None:
    """Raises Unimplemented for tensors in shared memory: opening memory on a caller's word is not offered."""
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise Unimplemented("extension_unsupported", extension="shared memory")


def check_reserved(parameters: Parameters, *, streaming: bool) -> None:
    """The request parameters that mean something: their types, and the ones no caller may set. Raises InvalidArgument."""
    for name, value in _in_order(parameters):
        if name == _STREAM_ONLY and streaming:
            if not isinstance(value, bool):
                raise InvalidArgument("parameter_invalid", name=name, expected="a boolean")
        elif name == "headers" or name.startswith("triton_"):
            raise InvalidArgument("parameter_reserved", name=name)
        elif name in {"priority", "timeout"}:
            if not _is_unsigned(value):
                raise InvalidArgument("parameter_invalid", name=name, expected="an unsigned integer")
        elif name == "sequence_id":
            if not (isinstance(value, str) or _is_unsigned(value)):
                raise InvalidArgument("parameter_invalid", name=name, expected="a string or an unsigned integer")
        elif name in {"sequence_start", "sequence_end"}:
            if not isinstance(value, bool):
                raise InvalidArgument("parameter_invalid", name=name, expected="a boolean")
            if value and not parameters.get("sequence_id"):
                raise InvalidArgument("parameter_invalid", name=name, expected="given together with a sequence_id")


def _is_unsigned(value: ParameterValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class HasParameters(Protocol):
    """A RequestMessage, or a RequestBody, which has them before it is judged."""

    @property
    def parameters(self) -> Parameters: ...


def timeout_us(request: HasParameters) -> int:
    """The caller's `timeout` in microseconds, 0 = none given. Raises InvalidArgument if it is not one."""
    value = request.parameters.get("timeout", 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidArgument("parameter_invalid", name="timeout", expected="an unsigned integer")
    return value


def sequence_id(request: HasParameters) -> str | int:
    """The sequence a request belongs to; "" = none (0 and "" both mean so)."""
    value = request.parameters.get("sequence_id", "")
    return value if isinstance(value, str | int) and value else ""


def from_json(members: Mapping[str, object] | None, where: str) -> Parameters:
    """A JSON object's members as parameters. Raises InvalidArgument for objects, lists, null and NaN (6.11)."""
    if not members:
        return NO_PARAMETERS
    result: dict[str, ParameterValue] = {}
    for name, value in members.items():
        if not isinstance(value, str | bool | int | float):
            raise InvalidArgument("parameter_invalid", name=f"{where}{name}", expected=_VALUE)
        result[name] = value
    return result


def from_proto(entries: Any, *, drop: Iterable[str] = BINARY_FORM) -> Parameters:
    """A map of InferParameter as parameters, without those that only tell REST how to write. Raises InvalidArgument."""
    if not entries:
        return NO_PARAMETERS
    result: dict[str, ParameterValue] = {}
    for name, parameter in entries.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise InvalidArgument("parameter_invalid", name=name, expected=_VALUE)
        if name not in drop:
            result[name] = getattr(parameter, choice)
    return result


def to_proto(parameters: Parameters, entries: Any) -> None:
    """Write parameters into a map of InferParameter."""
    for name, value in parameters.items():
        entry = entries[name]
        if isinstance(value, bool):
            entry.bool_param = value
        elif isinstance(value, int):
            if value > INT64_MAX:
                entry.uint64_param = value
            else:
                entry.int64_param = value
        elif isinstance(value, str):
            entry.string_param = value
        else:
            entry.double_param = value
