"""A body is lazy, in levels: L0 the wire form (enough to forward), L1 the message (enough to validate, rewire, re-encode).

L2, numpy arrays, is `tensors.to_array(tensor)`, computed by who needs it. `rest()` and `grpc()` are the identity when the
wire form can be forwarded, so a pass-through request is decoded only as far as its check needs.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock_adapters.protocol import grpc_codec, rest_codec
from penstock_adapters.protocol.classify import apply_classification
from penstock_adapters.protocol.errors import PenstockError
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import (
    NO_PARAMETERS,
    Parameters,
    RequestMessage,
    ResponseMessage,
    Signature,
)
from penstock_adapters.protocol.validate import Draft, judge, validate_request
from penstock_adapters.protocol.wire import RestWire

__all__ = ["RequestBody", "ResponseBody", "RestWire"]


HEAVY: Final = 256 * 1024
"""Bytes of JSON text that are read in a thread: a millisecond or two of parsing."""


class RequestBody:
    """An inference request's body, made from a REST wire form, a gRPC message, or a decoded message."""

    __slots__ = ("_draft", "_fault", "_limits", "_message", "_plain", "_rest", "_wire_grpc")

    def __init__(
        self,
        *,
        rest: RestWire | None = None,
        grpc: Any = None,
        message: RequestMessage | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._rest = rest
        self._wire_grpc = grpc
        self._message = message
        self._draft: Draft | None = None
        self._fault: PenstockError | None = None
        self._plain = False
        self._limits = limits

    @property
    def heavy(self) -> bool:
        """Is there so much JSON text to read that the event loop should not do it? (Up to seconds for hostile text.)"""
        rest = self._rest
        if rest is None or self._message is not None:
            return False
        return (rest.size if rest.header_length is None else rest.header_length) > HEAVY

    @property
    def message(self) -> RequestMessage:
        """L1. Raises InvalidArgument, Unimplemented or TooLarge, and nothing else, on garbage."""
        if self._message is None:
            draft = self._read()
            if draft is not None:
                self._message = judge(draft, None, self._limits)
                self._draft = None
        assert self._message is not None
        return self._message

    @property
    def parameters(self) -> Parameters:
        """The request's parameters, readable before `check`; none if the request cannot be read, which `check` then says."""
        if self._fault is not None:
            return NO_PARAMETERS
        try:
            draft = self._read()
        except PenstockError as error:
            if (
                self._rest is None or self._rest.header_length != 0
            ):  # A raw request is readable once its signature is known.
                self._fault = error.with_traceback(None)
            return NO_PARAMETERS
        return draft.parameters if draft is not None else self.message.parameters

    def check(self, signature: Signature | None, *, streaming: bool = False) -> RequestMessage:
        """L1, judged against the signature; None = only its own consistency.

        The same request is refused with the same words whichever carrier brought it, which a fault met while decoding
        cannot do by itself: the decoder does not know the model's inputs. Raises InvalidArgument, Unimplemented, TooLarge.
        """
        if self._message is None:
            draft = self._read(signature)
            if draft is not None:
                self._message = judge(draft, signature, self._limits, streaming=streaming)
                self._draft = None
        assert self._message is not None
        validate_request(self._message, signature, self._limits, streaming=streaming)
        return self._message

    def _read(self, signature: Signature | None = None) -> Draft | None:
        """Read the wire form once: into the message, or into a draft where the tensors must be judged to be decoded."""
        if self._fault is not None:
            try:
                raise self._fault
            finally:
                self._fault = None  # Its traceback leads back to this object: kept, both would wait for the collector.
        if self._message is None and self._draft is None:
            rest, limits = self._rest, self._limits
            found: RequestMessage | Draft
            if rest is None:
                found = grpc_codec.read_request(self._wire_grpc, limits)
            elif rest.header_length == 0 and signature is not None:
                found = rest_codec.decode_raw(rest, signature, limits)
            else:
                found, self._plain = rest_codec.read_request(rest, limits)
            if isinstance(found, Draft):
                self._draft = found
            else:
                self._message = found
        return self._draft

    def rest(self) -> RestWire:
        """The request as REST with binary tensors, all outputs asked for in binary. The identity if it came that way."""
        message = self.message
        if self._plain and self._rest is not None:
            return self._rest
        return rest_codec.encode_request(message)

    def grpc(self, model_name: str, model_version: str) -> Any:
        """The request as a ModelInferRequest with raw contents, addressed to the model given."""
        return grpc_codec.encode_request(self.message, model_name, model_version)


class ResponseBody:
    """An inference response's body: what the backend sent, or what was computed here."""

    __slots__ = ("_message", "_rest")

    def __init__(self, message: ResponseMessage, *, rest: RestWire | None = None) -> None:
        self._message = message
        self._rest = rest

    @property
    def message(self) -> ResponseMessage:
        return self._message

    def renamed(self, model_name: str, model_version: str) -> ResponseBody:
        """The same answer under the name that was asked for; the wire form survives if nothing changes."""
        message = self._message
        if message.model_name == model_name and message.model_version == model_version:
            return self
        return ResponseBody(msgspec.structs.replace(message, model_name=model_name, model_version=model_version))

    def rest(self, request: RequestMessage) -> RestWire:
        """The answer in the form the request asked for, output by output. The identity if the backend did just that."""
        if self._rest is not None and rest_codec.all_binary(request) and self._ordered(request) is self._message:
            return self._rest
        return rest_codec.encode_response(apply_classification(self._ordered(request), request), request)

    def grpc(self, request: RequestMessage | None = None) -> Any:
        """The answer as a ModelInferResponse with raw contents (6.10); `request` says which outputs to classify."""
        message = self._message if request is None else apply_classification(self._ordered(request), request)
        return grpc_codec.encode_response(message)

    def _ordered(self, request: RequestMessage) -> ResponseMessage:
        """The answer with its outputs in the requested order (6.5)."""
        message = self._message
        if len(request.outputs) < 2:
            return message
        place = {output.name: index for index, output in enumerate(request.outputs)}
        outputs = sorted(message.outputs, key=lambda tensor: place.get(tensor.name, len(place)))
        if all(a is b for a, b in zip(outputs, message.outputs, strict=True)):
            return message
        return msgspec.structs.replace(message, outputs=tuple(outputs))
