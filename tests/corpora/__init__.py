"""Malformed inference requests, generated with a fixed seed by `generate.py` and kept in `malformed.jsonl.gz`.

File format: gzip (no timestamp) of JSON lines, one object a case:
  name      unique, `<group>/<what is wrong>`
  carrier   "rest": the body of POST /v2/models/{m}/infer with `headers`; "grpc": the bytes of a ModelInferRequest for the
            rpc ModelInfer, which need not parse (send them with an identity serializer)
  headers   HTTP headers of the case, lower-case names; content-type and content-length are the sender's business
  body      base64
  http      the status that must come back, never 5xx except 501; over gRPC the status of the same row in errors.Code
  reason    the word of `penstock_adapters.protocol.reasons.REASONS`; "" where several faults share the body

The requests are addressed to a model of the signature SIGNATURE; `VALID` holds requests it accepts, to see that refusals
are not just refusals of everything. Regenerate with `python -m tests.corpora.generate` after a change of the rules.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from penstock_adapters.protocol.message import Signature, TensorMetadata

PATH: Final = Path(__file__).with_name("malformed.jsonl.gz")
SIGNATURE: Final = Signature(
    (
        TensorMetadata("x", "FP32", (-1, 4)),
        *(
            TensorMetadata(f"in_{datatype.lower()}", datatype, (-1,), optional=True)
            for datatype in (
                *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
                *("FP16", "BF16", "FP32", "FP64", "BYTES"),
            )
        ),
    ),
    (TensorMetadata("y", "FP32", (-1, 4)),),
    max_batch_size=8,
)


class Case(NamedTuple):
    """One request and what must become of it."""

    name: str
    carrier: Literal["rest", "grpc"]
    headers: Mapping[str, str]
    body: bytes
    http: int
    reason: str = ""


VALID: Final = (
    Case("valid/json", "rest", {}, b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}', 200),
)


def load() -> list[Case]:
    """Every case of the committed file."""
    cases = []
    for line in gzip.decompress(PATH.read_bytes()).splitlines():
        case = json.loads(line)
        body = b64decode(case["body"])
        cases.append(Case(case["name"], case["carrier"], case["headers"], body, case["http"], case["reason"]))
    return cases


def dump(cases: Iterable[Case]) -> bytes:
    """The file's bytes."""
    lines = [json.dumps(case._asdict() | {"body": b64encode(case.body).decode()}) for case in cases]
    return gzip.compress("\n".join(lines).encode(), compresslevel=9, mtime=0)
