"""The one validator: whatever carried a request, its faults are found in one order and named in one wording.

Order (protocol policy 6.17): extension, structure, then tensor by tensor in request order: name, datatype, shape, element
count, values; then missing inputs and unknown outputs. Codecs read into a `Draft` when something is odd, so that a fault
in the second tensor's JSON text is not named before one in the first tensor's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from penstock_adapters.protocol.datatypes import DATATYPES, Datatype
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    Buffer,
    Parameters,
    RequestedOutput,
    RequestMessage,
    ResponseMessage,
    Signature,
    Tensor,
    TensorMetadata,
)
from penstock_adapters.protocol.parameters import byte_length, check_extensions, check_reserved, check_values
from penstock_adapters.protocol.tensors import WALK_MAX, BytesFault, walk_bytes
from penstock_adapters.protocol.tensors import element_count as product

Pack = Callable[[Datatype, tuple[int, ...], int, int], bytes]
"""(datatype, shape, element count, room in bytes) -> raw data. Raises InvalidArgument: count first, then values; TooLarge."""


class DraftTensor(msgspec.Struct, frozen=True, gc=False):
    """A tensor as it was written. `shape` may hold anything; `data` None = missing, or given twice."""

    name: str
    datatype: str
    shape: tuple[object, ...]
    data: Buffer | Pack | None
    parameters: Parameters = NO_PARAMETERS


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A request as it was written, not judged yet."""

    id: str
    inputs: tuple[DraftTensor, ...]
    outputs: tuple[RequestedOutput, ...] = ()
    parameters: Parameters = NO_PARAMETERS
    binary_output: bool = False


def validate_request(
    message: RequestMessage, signature: Signature | None, limits: Limits = DEFAULT_LIMITS, *, streaming: bool = False
) -> None:
    """Check a request against the model's signature, or, without one, only its own consistency.

    Raises InvalidArgument (the caller's fault), Unimplemented (shared memory), TooLarge.
    """
    if signature is not None and _quick(message, signature, limits):
        return
    judge(message, signature, limits, streaming=streaming)
    _check_complete(message, signature)


def judge(
    draft: Draft | RequestMessage, signature: Signature | None, limits: Limits, *, streaming: bool = False
) -> RequestMessage:
    """The draft as a message, or the first of its faults in the order of 6.17."""
    _check_structure(draft, limits, streaming=streaming)
    known = None if signature is None else {meta.name: meta for meta in signature.inputs}
    room, elements = limits.body, 0
    seen: set[str] = set()
    tensors = []
    for tensor in draft.inputs:
        meta = _check_name(tensor.name, known, seen, limits)
        row = _check_datatype(tensor, meta)
        batch_limit = signature.max_batch_size if signature is not None else 0
        shape, count = _check_shape(tensor, meta, batch_limit, limits)
        if not row.size:
            elements += count
            if elements > limits.bytes_elements:
                raise InvalidArgument("too_many", count=elements, what="BYTES elements", limit=limits.bytes_elements)
        assert tensor.data is not None
        data = tensor.data(row, shape, count, room) if callable(tensor.data) else tensor.data
        as_text = signature is not None and tensor.name in signature.text_inputs
        check_data(tensor.name, row, shape, count, data, as_text=as_text)
        room -= len(data)
        if room < 0:
            raise TooLarge("body_too_large", limit=limits.body)
        tensors.append(Tensor(tensor.name, tensor.datatype, shape, data, tensor.parameters))
    return RequestMessage(draft.id, tuple(tensors), draft.outputs, draft.parameters, draft.binary_output)


def _quick(message: RequestMessage, signature: Signature, limits: Limits) -> bool:
    """True if the request is certainly good: inputs in the signature's order, no parameters, nothing unusual."""
    inputs, metas = message.inputs, signature.inputs
    if message.parameters or len(inputs) != len(metas) or len(message.id) > limits.id // 4:
        return False
    if len(inputs) > limits.inputs or signature.text_inputs:
        return False
    batch_limit = signature.max_batch_size
    for tensor, meta in zip(inputs, metas, strict=True):
        shape, wanted = tensor.shape, meta.shape
        if tensor.name != meta.name or tensor.datatype != meta.datatype or len(shape) != len(wanted):
            return False
        count = 1
        for have, need in zip(shape, wanted, strict=True):
            if have <= 0 or (have != need and need >= 0):
                return False
            count *= have
        size = DATATYPES[meta.datatype].size
        if not size or tensor.parameters or count * size != len(tensor.data) or count > limits.elements:
            return False
        if batch_limit and (not shape or shape[0] > batch_limit):
            return False
        if meta.datatype == "BOOL" and not _all_boolean(tensor.data):
            return False
    return not message.outputs or _quick_outputs(message.outputs, signature)


def _quick_outputs(outputs: tuple[RequestedOutput, ...], signature: Signature) -> bool:
    known = {meta.name for meta in signature.outputs}
    for output in outputs:
        if output.parameters or output.classification or output.name not in known:
            return False
        known.discard(output.name)
    return True


def _check_structure(draft: Draft | RequestMessage, limits: Limits, *, streaming: bool) -> None:
    holders = (draft, *draft.inputs, *draft.outputs)
    for holder in holders:
        check_extensions(holder.parameters)
    if byte_length(draft.id) > limits.id:
        raise InvalidArgument("too_long", what="'id'", size=byte_length(draft.id), limit=limits.id)
    if len(draft.inputs) > limits.inputs:
        raise InvalidArgument("too_many", count=len(draft.inputs), what="inputs", limit=limits.inputs)
    if len(draft.outputs) > limits.outputs:
        raise InvalidArgument("too_many", count=len(draft.outputs), what="requested outputs", limit=limits.outputs)
    for holder in holders:
        check_values(holder.parameters, limits)
    check_reserved(draft.parameters, streaming=streaming)
    for tensor in draft.inputs:
        if tensor.data is None:
            raise InvalidArgument("data_missing", tensor=tensor.name)
    seen: set[str] = set()
    for output in draft.outputs:
        _check_spelling(output.name, limits)
        if output.name in seen:
            raise InvalidArgument("output_duplicate", tensor=output.name)
        seen.add(output.name)


def _check_spelling(name: str, limits: Limits) -> None:
    if not 1 <= byte_length(name) <= limits.tensor_name:
        raise InvalidArgument("tensor_name", tensor=name, limit=limits.tensor_name)


def _check_name(
    name: str, known: dict[str, TensorMetadata] | None, seen: set[str], limits: Limits
) -> TensorMetadata | None:
    _check_spelling(name, limits)
    if name in seen:
        raise InvalidArgument("input_duplicate", tensor=name)
    seen.add(name)
    if known is None:
        return None
    if name not in known:
        raise InvalidArgument("input_unknown", tensor=name, known=names(known))
    return known[name]


def names(known: Iterable[str]) -> str:
    """Names for a message, or the word none."""
    return ", ".join(known) or "none"


def _check_datatype(tensor: DraftTensor | Tensor, meta: TensorMetadata | None) -> Datatype:
    row = DATATYPES.get(tensor.datatype)
    if row is None:
        raise InvalidArgument("datatype_unknown", tensor=tensor.name, datatype=tensor.datatype, known=names(DATATYPES))
    if meta is not None and tensor.datatype != meta.datatype:
        raise InvalidArgument("datatype_mismatch", tensor=tensor.name, expected=meta.datatype, found=tensor.datatype)
    return row


def _check_shape(
    tensor: DraftTensor | Tensor, meta: TensorMetadata | None, batch_limit: int, limits: Limits
) -> tuple[tuple[int, ...], int]:
    """The shape as whole numbers and its element count."""
    name = tensor.name
    if len(tensor.shape) > limits.rank:
        raise InvalidArgument("rank_too_large", tensor=name, rank=len(tensor.shape), limit=limits.rank)
    shape: list[int] = []
    count = filled = 1
    for entry in tensor.shape:
        if not isinstance(entry, int) or isinstance(entry, bool) or entry < 0:
            raise InvalidArgument("shape_invalid", tensor=name, found=entry)
        shape.append(int(entry))
        count *= entry
        filled *= entry or 1
        if filled > limits.elements:
            raise InvalidArgument("shape_too_large", tensor=name, shape=shape_text(tensor.shape), limit=limits.elements)
    if meta is not None and not fits(shape, meta.shape):
        raise InvalidArgument("shape_mismatch", tensor=name, expected=shape_text(meta.shape), found=shape_text(shape))
    if batch_limit and shape and shape[0] > batch_limit:
        raise InvalidArgument("batch_too_large", tensor=name, batch=shape[0], limit=batch_limit)
    return tuple(shape), count


def fits(shape: Sequence[int], wanted: tuple[int, ...]) -> bool:
    """Same rank, and equal wherever the signature fixes a dimension."""
    return len(shape) == len(wanted) and all(need in (-1, have) for have, need in zip(shape, wanted, strict=True))


def shape_text(shape: Iterable[object]) -> str:
    """[1,64], as callers write it."""
    return "[" + ",".join(map(str, shape)) + "]"


def check_data(
    name: str, row: Datatype, shape: tuple[int, ...], count: int, data: Buffer, *, as_text: bool = False
) -> None:
    """Raw data against its shape: element count, then values. Raises InvalidArgument."""
    if not row.size:
        try:
            walk_bytes(data, count, as_text=as_text)
        except BytesFault as fault:
            if fault.kind == "count":
                raise element_count(name, shape, count, fault.found) from None
            if fault.kind == "text":
                raise InvalidArgument("bytes_not_text", tensor=name, index=fault.found) from None
            raise InvalidArgument("bytes_malformed", tensor=name) from None
        return
    if len(data) != count * row.size:
        whole, part = divmod(len(data), row.size)
        raise element_count(name, shape, count, f"{whole} and a part" if part else whole)
    if row.kind == "bool" and not _all_boolean(data):
        index = next(i for i, byte in enumerate(data) if byte > 1)
        raise InvalidArgument("element_invalid", tensor=name, found=data[index], datatype="BOOL", index=index)


def element_count(name: str, shape: tuple[int, ...], expected: int, found: object) -> InvalidArgument:
    """The refusal of a wrong number of elements; large surpluses are not counted to the end (see WALK_MAX)."""
    if isinstance(found, int) and found > WALK_MAX:
        found = f"more than {WALK_MAX}"
    return InvalidArgument("element_count", tensor=name, shape=shape_text(shape), expected=expected, found=found)


def _all_boolean(data: Buffer) -> bool:
    if len(data) < 64:
        return max(data, default=0) <= 1
    return bool(np.frombuffer(data, np.uint8).max() <= 1)


def _check_complete(message: RequestMessage, signature: Signature | None) -> None:
    if signature is None:
        if not message.inputs:
            raise InvalidArgument("inputs_empty")
        return
    given = {tensor.name for tensor in message.inputs}
    needed = [meta.name for meta in signature.inputs if not meta.optional]
    for name in needed:
        if name not in given:
            raise InvalidArgument("input_missing", tensor=name, needed=names(needed))
    if signature.outputs:
        known = {meta.name: meta.datatype for meta in signature.outputs}
        for output in message.outputs:
            if output.name not in known:
                raise InvalidArgument("output_unknown", tensor=output.name, known=names(known))
            if output.classification and DATATYPES[known[output.name]].kind not in {"int", "float"}:
                problem = f"needs numbers, not {known[output.name]}"
                raise InvalidArgument("classification_invalid", tensor=output.name, problem=problem)


def validate_response(
    response: ResponseMessage, request: RequestMessage, signature: Signature | None, *, model: str = ""
) -> None:
    """Check a backend's answer: the outputs that were asked for and no others, each of the signature's datatype and shape.

    Raises BadBackendAnswer, which names `model`. A changed bit inside tensor data is a valid answer and not seen here.
    """
    problem = _answer_problem(response, request, signature)
    if problem:
        raise BadBackendAnswer("backend_answer", model=model or response.model_name, problem=problem)


def _answer_problem(response: ResponseMessage, request: RequestMessage, signature: Signature | None) -> str:
    """What is wrong with an answer, "" = nothing."""
    if request.id and response.id != request.id:
        return "it carries another request's id"
    metas = {meta.name: meta for meta in signature.outputs} if signature is not None else {}
    wanted = {output.name for output in request.outputs} or set(metas)
    seen: set[str] = set()
    for tensor in response.outputs:
        name = tensor.name
        if name in seen:
            return f"output '{name}' comes twice"
        if wanted and name not in wanted:
            return f"output '{name}' was not asked for"
        seen.add(name)
        problem = _tensor_problem(tensor, metas.get(name))
        if problem:
            return f"output '{name}' {problem}"
    missing = wanted - seen
    return f"output '{min(missing)}' is missing" if missing else ""


def _tensor_problem(tensor: Tensor, meta: TensorMetadata | None) -> str:
    row = DATATYPES.get(tensor.datatype)
    if row is None or (meta is not None and tensor.datatype != meta.datatype):
        return "has another datatype than the model's"
    if min(tensor.shape, default=0) < 0 or (meta is not None and not fits(tensor.shape, meta.shape)):
        return "has another shape than the model's"
    count = product(tensor.shape)
    if row.size and row.kind != "bool":
        return "" if len(tensor.data) == count * row.size else "holds another number of elements"
    try:
        check_data(tensor.name, row, tensor.shape, count, tensor.data)
    except InvalidArgument:
        return "holds malformed elements"
    return ""
