"""infer: one prediction, in any of the three encodings, printed as v2 JSON whatever travelled."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn
from urllib.parse import urlsplit

import typer

from penstock_gateway.cli.client import Client, escaped
from penstock_gateway.cli.exits import Exit, exit_for, fail, warn
from penstock_gateway.cli.options import ADDRESS
from penstock_gateway.cli.output import line

if TYPE_CHECKING:
    from penstock_adapters.protocol.message import RequestMessage

HEADER_LENGTH: Final = "inference-header-content-length"
GRPC_PORT_AFTER: Final = 1
"""The gRPC listener is one port above the REST listener, unless --grpc-address says otherwise."""
GRPC_MAX_BYTES: Final = 256 << 20


def infer(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model or route.")],
    *,
    filename: Annotated[
        str, typer.Option("--filename", "-f", metavar="FILE", help="v2 JSON request, or - for standard input.")
    ],
    version: Annotated[
        str, typer.Option("--version", metavar="ID", help="Version; without it the route decides.")
    ] = "",
    grpc: Annotated[bool, typer.Option("--grpc", help="Send it over gRPC.")] = False,
    binary: Annotated[bool, typer.Option("--binary", help="Send and ask for binary tensors over REST.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Longest wait.")] = 60.0,
    show_headers: Annotated[bool, typer.Option("--show-headers", help="Print the answer's headers, too.")] = False,
    address: Annotated[
        str, typer.Option("--address", envvar="PENSTOCK_ADDRESS", metavar="URL", help="REST address of the server.")
    ] = ADDRESS,
    grpc_address: Annotated[
        str,
        typer.Option("--grpc-address", metavar="HOST:PORT", help="Address of gRPC.", show_default="the REST port + 1"),
    ] = "",
) -> None:
    """Send one inference request, print the answer.

    Who served it is printed on standard error.

    Examples:
      penstock infer digits -f request.json
      penstock infer digits -f request.json --grpc
      penstock infer digits -f request.json --binary --version 2
      echo '{"inputs": [...]}' | penstock infer digits -f -

    """
    body = _read(filename)
    if grpc and binary:
        fail(Exit.USAGE, "--grpc and --binary exclude each other", "gRPC tensors are always binary")
    if grpc:
        answer, headers = _over_grpc(name, version, body, target=grpc_address or _grpc_target(address), timeout=timeout)
    else:
        client = Client(address, what="the predict address", flag="--address", timeout_s=timeout)
        path = f"/v2/models/{escaped(name)}{f'/versions/{escaped(version)}' if version else ''}/infer"
        answer, headers = _over_rest(client, path, body, binary=binary)
    if show_headers:
        for header, value in headers.items():
            warn(f"{header}: {value}")
    line(answer)
    served_by = headers.get("penstock-served-by", "")
    generation = headers.get("penstock-generation", "")
    degraded = headers.get("penstock-degraded", "")
    if served_by:
        warn(f"served by {served_by}, snapshot {generation}{f', degraded: {degraded}' if degraded else ''}")


def _read(filename: str) -> bytes:
    if filename == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(filename).read_bytes()
    except OSError as error:
        fail(Exit.USAGE, f"{filename} cannot be read: {error.strerror}")


def _over_rest(client: Client, path: str, body: bytes, *, binary: bool) -> tuple[str, Mapping[str, str]]:
    if not binary:
        answer = client.call("POST", path, body=body, headers={"content-type": "application/json"})
        return answer.body.decode(), answer.headers
    from penstock_adapters.protocol import rest_codec, rest_write  # noqa: PLC0415  # numpy takes a while to load
    from penstock_adapters.protocol.errors import PenstockError  # noqa: PLC0415
    from penstock_adapters.protocol.wire import RestWire  # noqa: PLC0415

    try:
        request, _ = rest_codec.decode_request(RestWire((body,)))
        wire = rest_write.encode_request(request)
        headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(wire.header_length or 0)}
        answer = client.call("POST", path, body=b"".join(wire.parts), headers=headers)
        length = answer.headers.get(HEADER_LENGTH)
        response = rest_codec.decode_response(RestWire((answer.body,), int(length) if length else None))
        text = b"".join(rest_write.encode_response(response, _in_json(request)).parts)
    except PenstockError as error:
        fail(exit_for(error.code.http), error.text)
    return text.decode(), answer.headers


def _over_grpc(name: str, version: str, body: bytes, *, target: str, timeout: float) -> tuple[str, Mapping[str, str]]:
    import grpc  # noqa: PLC0415  # takes a while to load

    from penstock_adapters.protocol import grpc_codec, rest_codec, rest_write  # noqa: PLC0415
    from penstock_adapters.protocol.errors import PenstockError  # noqa: PLC0415
    from penstock_adapters.protocol.messages import METHODS  # noqa: PLC0415
    from penstock_adapters.protocol.wire import RestWire  # noqa: PLC0415

    method = METHODS["ModelInfer"]
    options = [("grpc.max_receive_message_length", GRPC_MAX_BYTES), ("grpc.max_send_message_length", GRPC_MAX_BYTES)]
    try:
        request, _ = rest_codec.decode_request(RestWire((body,)))
        message = grpc_codec.encode_request(request, name, version)
        with grpc.insecure_channel(target, options) as channel:
            serialize: Callable[[object], bytes] = method.request.SerializeToString
            call = channel.unary_unary(method.path, serialize, method.response.FromString)
            answer, details = call.with_call(message, timeout=timeout)
        response = grpc_codec.decode_response(answer)
        text = b"".join(rest_write.encode_response(response, _in_json(request)).parts)
    except grpc.RpcError as error:
        _refuse(error.code().value[0], error.details(), target)
    except PenstockError as error:
        fail(exit_for(error.code.http), error.text)
    pairs = [*details.initial_metadata(), *details.trailing_metadata()]
    return text.decode(), {key: value for key, value in pairs if isinstance(value, str)}


def _in_json(request: RequestMessage) -> RequestMessage:
    """The request as if it had asked for JSON: how the answer is to be printed."""
    import msgspec  # noqa: PLC0415

    outputs = tuple(msgspec.structs.replace(output, binary=False) for output in request.outputs)
    return msgspec.structs.replace(request, outputs=outputs, binary_output=False)


def _refuse(number: int, text: str, target: str) -> NoReturn:
    """End the command as REST would have: the first row of the table with that gRPC status."""
    from penstock_adapters.protocol.errors import Code  # noqa: PLC0415

    status = next((code.http for code in Code if code.grpc == number), 500)
    hint = f"is {target} the gRPC address? name another with --grpc-address" if status == 503 else ""
    fail(exit_for(status), text, hint)


def _grpc_target(address: str) -> str:
    parts = urlsplit(address if "//" in address else f"http://{address}")
    return f"{parts.hostname}:{(parts.port or 8100) + GRPC_PORT_AFTER}"
