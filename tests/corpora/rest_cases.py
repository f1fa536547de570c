"""Malformed REST bodies: by rule, by datatype, cut short, and with bytes changed."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any, Final

from tests.corpora import Case

X: Final[dict[str, Any]] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
TEXT: Final = json.dumps({"inputs": [X], "id": "a", "outputs": [{"name": "y"}]})
BINARY_TEXT: Final = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}
)
LENGTH: Final = "inference-header-content-length"


def rest_cases() -> Iterator[Case]:
    yield from _syntax()
    yield from _members()
    yield from _elements()
    yield from _shapes()
    yield from _parameters()
    yield from _binary()
    yield from _compressed()
    yield from _mutated()


def _case(name: str, body: object, reason: str = "", http: int = 400, **headers: str) -> Case:
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return Case(name, "rest", {key.replace("_", "-"): value for key, value in headers.items()}, data, http, reason)


def _syntax() -> Iterator[Case]:
    for cut in range(len(TEXT)):
        yield _case(f"cut/{cut}", TEXT[:cut], "json_invalid")
    tails = ["x", "{}", "]", "\0", ",", "null", "\ufeff"]
    heads = ["\ufeff", "x", "[", "\0", "\x0b", "//a\n", "/**/"]
    for index, tail in enumerate(tails):
        yield _case(f"syntax/after-{index}", TEXT + tail, "json_invalid")
    for index, head in enumerate(heads):
        yield _case(f"syntax/before-{index}", head + TEXT, "json_invalid")
    for value in (
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "0x1",
        "nan",
        "inf",
        "-",
        "'a'",
        '"\t"',
        '"\\x"',
        '"\\u12"',
        "{a:1}",
        "[1,]",
        "tru",
    ):
        yield _case(f"syntax/value-{value}", TEXT[:-1] + f',"more":{value}}}', "json_invalid")
    for index, raw in enumerate((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80")):
        yield _case(f"syntax/utf8-{index}", b'{"id":"' + raw + b'",' + TEXT.encode()[1:], "json_invalid")
    for index, bad in enumerate(("\\ud800", "\\udc00", "\\udc00\\ud800", "\\ud800\\u0041")):
        yield _case(f"syntax/surrogate-{index}", '{"more":"' + bad + '",' + TEXT[1:], "json_invalid")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield _case(f"syntax/{encoding}", TEXT.encode(encoding), "json_invalid")
    for depth in (65, 100, 1_000, 10_000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            yield _case(f"depth/{depth}{opening[0]}", TEXT[:-1] + f',"more":{nested}}}', "json_too_deep")
            yield _case(f"depth/open-{depth}{opening[0]}", opening * depth, "")
    for key in ("inputs", "id", "outputs"):
        yield _case(f"duplicate/{key}", TEXT[:-1] + f', "{key}": null}}', "json_duplicate_key")
    for key in ("name", "shape", "datatype", "data"):
        entry = json.dumps(X)[:-1] + f', "{key}": {json.dumps(X[key])}}}'
        yield _case(f"duplicate/inputs-{key}", f'{{"inputs":[{entry}]}}', "json_duplicate_key")
    yield _case("duplicate/escaped", TEXT[:-1] + ',"\\u0069d":"b"}', "json_duplicate_key")
    yield _case("duplicate/unknown", TEXT[:-1] + ',"a":{"b":1,"b":1}}', "json_duplicate_key")


def _members() -> Iterator[Case]:
    odd: dict[str, Any] = {"number": 1, "string": "a", "true": True, "array": [1], "object": {}, "null": None}
    for kind, value in odd.items():
        if kind != "object":
            yield _case(f"body/{kind}", json.dumps(value), "field_type")
        for key, fit in (("inputs", "array"), ("id", "string"), ("outputs", "array"), ("parameters", "object")):
            if kind != fit and (kind != "null" or key == "inputs"):
                yield _case(f"member/{key}-{kind}", {"inputs": [X], key: value})
        for key, fit in (("name", "string"), ("datatype", "string"), ("shape", "array"), ("data", "array")):
            if kind != fit:
                yield _case(f"member/inputs-{key}-{kind}", {"inputs": [X | {key: value}]})
        if kind != "object":
            yield _case(f"member/inputs-entry-{kind}", {"inputs": [value]}, "field_type")
            yield _case(f"member/outputs-entry-{kind}", {"inputs": [X], "outputs": [value]}, "field_type")
        if kind != "string":
            yield _case(f"member/outputs-name-{kind}", {"inputs": [X], "outputs": [{"name": value}]})
    for key in X:
        yield _case(f"missing/{key}", {"inputs": [{k: v for k, v in X.items() if k != key}]})
    yield _case("missing/inputs", {"id": "a"}, "field_missing")
    yield _case("missing/x", {"inputs": []}, "input_missing")
    yield _case("missing/output-name", {"inputs": [X], "outputs": [{}]}, "field_missing")
    for name in ("X", "x ", "", "\0", "y", "x" * 1025, "é"):
        yield _case(f"name/{name[:9]!r}", {"inputs": [X | {"name": name}]})
        yield _case(f"name/output-{name[:9]!r}-{len(name)}", {"inputs": [X], "outputs": [{"name": name + "z"}]})
    yield _case("name/twice", {"inputs": [X, X]}, "input_duplicate")
    yield _case("name/output-twice", {"inputs": [X], "outputs": [{"name": "y"}] * 2}, "output_duplicate")
    for datatype in ("fp32", "FP64", "INT32", "FLOAT", "TYPE_FP32", "STRING", "", "FP32 ", "BYTES", "BOOL", "BF16"):
        yield _case(f"datatype/{datatype}", {"inputs": [X | {"datatype": datatype}]})
    yield _case("id/long", {"inputs": [X], "id": "a" * 1025}, "too_long")
    yield _case("many/inputs", {"inputs": [X] * 1025}, "too_many")
    yield _case("many/outputs", {"inputs": [X], "outputs": [{"name": "y"}] * 1025}, "too_many")


def _elements() -> Iterator[Case]:
    never = ['"1"', "null", "{}", '"nan"', '"inf"', '""']
    fraction = ["1.5", "NaN", "Infinity", '"NaN"', "true", "1e-400", "1e400", "9007199254740993.0", "1e99999999999"]
    ranges = {
        "UINT8": (0, 255),
        "UINT16": (0, 65535),
        "UINT32": (0, 2**32 - 1),
        "UINT64": (0, 2**64 - 1),
        "INT8": (-128, 127),
        "INT16": (-32768, 32767),
        "INT32": (-(2**31), 2**31 - 1),
        "INT64": (-(2**63), 2**63 - 1),
    }
    bad: dict[str, list[str]] = {
        "BOOL": [*never, "2", "-1", "0.5", '"true"', "NaN", "1e-400"],
        "BYTES": ["1", "null", "true", "{}", "1.0", "NaN", '"\\ud800"'],
        "FP16": [*never, "true", "65520", "-65520", "1e400"],
        "BF16": [*never, "true", "3.4e38", "-3.4e38", "1e400"],
        "FP32": [*never, "true", "3.5e38", "-1e39", "1e400", "1" + "0" * 400],
        "FP64": [*never, "true", "1.8e308", "-1e400", "1" + "0" * 400, "1" + "0" * 5000],
    }
    for datatype, (low, high) in ranges.items():
        bad[datatype] = [*never, *fraction, str(low - 1), str(high + 1), f"{low - 1}.0", "1" + "0" * 5000]
    for datatype, elements in bad.items():
        for element in elements:
            for place, data in enumerate((f"[{element},1]", f"[1,{element}]")):
                first = f'{{"name":"in_{datatype.lower()}","shape":[2],"datatype":"{datatype}","data":{data}}}'
                yield _case(
                    f"element/{datatype}-{element[:20]}-{len(element)}-{place}",
                    f'{{"inputs":[{json.dumps(X)},{first}]}}',
                )
        for data in ("1", '"a"', "{}", "[]", "[[1],[1,1]]", "[[[1]],[1]]", "[1]", "[1,1,1]", "[[1,1],[1,1]]"):
            first = f'{{"name":"in_{datatype.lower()}","shape":[2],"datatype":"{datatype}","data":{data}}}'
            yield _case(f"data/{datatype}-{data}", f'{{"inputs":[{json.dumps(X)},{first}]}}')
    for element in ("/w", "/w=", "_w==", "AAEC=", "/x==", " /w==", "/w==/w==", "=", "é"):
        entry = {"name": "in_bytes", "shape": [1], "datatype": "BYTES", "data": [element]}
        body = {"inputs": [X, entry | {"parameters": {"content_type": "base64"}}]}
        yield _case(f"base64/{element}", body, "base64_invalid")


def _shapes() -> Iterator[Case]:
    for shape in (
        *(
            "[-1,4]",
            "[1,-4]",
            "[4]",
            "[]",
            "[1,4,1]",
            "[1,5]",
            "[2,4]",
            "[0,4]",
            "[9,4]",
            "[1.5,4]",
            '["1",4]',
            "[null,4]",
        ),
        *(
            "[true,4]",
            "[[1],4]",
            "[{},4]",
            "[1e400,4]",
            "[1e30,4]",
            "[18446744073709551616,4]",
            "[4294967296,4294967296]",
        ),
        *("[268435457,4]", "[1.00000000000000000001,4]", "[NaN,4]", "[-0.5,4]", "[1,4" + ",1" * 31 + "]"),
        "[" + ",".join(["9" * 4000] * 40) + "]",
    ):
        entry = json.dumps(X | {"shape": "S"}).replace('"S"', shape)
        yield _case(f"shape/{shape[:30]}-{len(shape)}", f'{{"inputs":[{entry}]}}')
    for data in (
        "[[1,2],[3,4]]",
        "[[1,2,3,4],[]]",
        "[[[[1,2]]],[[[3,4]]]]",
        "[1,2,[3,4]]",
        "[[1,2,3,4],1]",
    ):
        entry = json.dumps(X | {"data": "S"}).replace('"S"', data)
        yield _case(f"nesting/{data}", f'{{"inputs":[{entry}]}}')


def _parameters() -> Iterator[Case]:
    values: list[Any] = [None, [], {}, [1], float("nan"), float("inf"), 2**64, -(2**63) - 1]
    places = ("request", "input", "output")
    for place in places:
        for value in values:
            yield _case(f"parameter/{place}-{value}", _with(place, {"a": value}), "parameter_invalid")
        yield _case(f"parameter/{place}-many", _with(place, {str(i): i for i in range(257)}), "too_many")
        yield _case(f"parameter/{place}-key", _with(place, {"k" * 257: 1}), "too_long")
        yield _case(f"parameter/{place}-value", _with(place, {"k": "v" * 65537}), "too_long")
        shared = {"shared_memory_region": "r", "shared_memory_byte_size": 16}
        yield _case(f"parameter/{place}-memory", _with(place, shared), "extension_unsupported", 501)
    for name in ("triton_final_response", "triton_enable_empty_final_response", "headers", "triton_"):
        yield _case(f"reserved/{name}", _with("request", {name: True}), "parameter_reserved")
    for name, bad in {
        "priority": (-1, "1", 1.5, True),
        "timeout": (-1, "1", 1.5, True),
        "sequence_id": (-1, 1.5, True),
        "sequence_start": (True, 1, "true"),
        "sequence_end": (True, 0, "true"),
        "binary_data_output": (1, "true", 0.0),
    }.items():
        for value in bad:
            yield _case(f"reserved/{name}-{value!r}", _with("request", {name: value}), "parameter_invalid")
    for value in (-1, "1", 1.5, True, 2**64):
        body = _with("output", {"classification": value})
        yield _case(f"classification/{value!r}", body, "" if value == 2**64 else "classification_invalid", 0)
    for value in (1, "true", 0.5):
        yield _case(f"binary_data/{value!r}", _with("output", {"binary_data": value}), "parameter_invalid")


def _with(place: str, parameters: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"inputs": [X], "outputs": [{"name": "y"}]}
    holder = {"request": body, "input": X.copy(), "output": {"name": "y"}}[place]
    holder["parameters"] = parameters
    if place == "input":
        body["inputs"] = [holder]
    elif place == "output":
        body["outputs"] = [holder]
    return body


def _binary() -> Iterator[Case]:
    data = bytes(16)
    size = len(BINARY_TEXT)
    for number in range(size + len(data) + 3):
        if number != size:
            yield _binary_case(f"length/{number}", BINARY_TEXT, data, str(number))
    for length in (
        "",
        "-1",
        "+1",
        "1e2",
        "0x10",
        "99999999999",
        " ",
        "١",
        f"{size}.0",
        f"{size},{size}",
        f"{size} x",
        "a",
    ):
        yield _binary_case(f"length/{length!r}", BINARY_TEXT, data, length)
    for count in (*range(16), 17, 20, 32, 64):
        yield _binary_case(f"bytes/{count}", BINARY_TEXT, bytes(count))
    for announced in (0, 15, 17, 20, 12, 2**31, 2**63, 2**64, -1):
        text = BINARY_TEXT.replace("16}", f"{announced}}}")
        yield _binary_case(f"size/{announced}", text, data)
        yield _binary_case(f"size/given-{announced}", text, bytes(announced) if 0 <= announced < 99 else data)
    for odd in ('"16"', "16.0", "true", "null", "[]", "1e1"):
        yield _binary_case(f"size/{odd}", BINARY_TEXT.replace("16}", f"{odd}}}"), data)
    yield _case("size/without-header", BINARY_TEXT, "data_missing")
    yield _binary_case("size/with-data", BINARY_TEXT.replace('"datatype"', '"data":[1,2,3,4],"datatype"'), b"")
    flags = (
        BINARY_TEXT.replace("[1, 4]", "[2]").replace("16}", "2}").replace("FP32", "BOOL").replace('"x"', '"in_bool"')
    )
    yield _binary_case("bool/2", flags, b"\1\2", reason="element_invalid")
    for index, raw in enumerate((b"\1\0\0\0", b"\1\0\0", b"\0\0\0\0" * 2, b"\xff\xff\xff\xffa", b"\0\0\0\0\1", b"")):
        text = BINARY_TEXT.replace("[1, 4]", "[1]").replace("16}", f"{len(raw)}}}")
        text = text.replace("FP32", "BYTES").replace('"x"', '"in_bytes"')
        yield _binary_case(f"strings/{index}", text, raw)


def _binary_case(name: str, text: str, data: bytes, length: str | None = None, reason: str = "") -> Case:
    headers = {LENGTH: str(len(text)) if length is None else length}
    return Case(f"binary/{name}", "rest", headers, text.encode() + data, 400, reason)


def _compressed() -> Iterator[Case]:
    packed = gzip.compress(TEXT.encode(), mtime=0)
    for cut in (0, 1, 5, 10, 20, len(packed) - 8, len(packed) - 1):
        yield _case(f"gzip/cut-{cut}", packed[:cut], "compression_invalid", content_encoding="gzip")
    yield _case("gzip/junk", packed + b"junk", "compression_invalid", content_encoding="gzip")
    yield _case("gzip/plain", TEXT, "compression_invalid", content_encoding="gzip")
    yield _case("gzip/checksum", packed[:-8] + bytes(4) + packed[-4:], "compression_invalid", content_encoding="gzip")
    deflated = zlib.compress(TEXT.encode())
    for cut in (0, 1, 2, 10, len(deflated) - 1):
        yield _case(f"deflate/cut-{cut}", deflated[:cut], "compression_invalid", content_encoding="deflate")
    yield _case("deflate/junk", deflated + b"junk", "compression_invalid", content_encoding="deflate")
    yield _case("deflate/checksum", deflated[:-4] + bytes(4), "compression_invalid", content_encoding="deflate")
    yield _case("gzip/json", gzip.compress(TEXT.encode()[:-1], mtime=0), "json_invalid", content_encoding="gzip")
    bomb = gzip.compress(bytes((64 << 20) + 1), mtime=0)
    yield _case("gzip/bomb", bomb, "body_too_large", 413, content_encoding="gzip")
    spaces = gzip.compress(b" " * (16 << 20) + TEXT.encode(), mtime=0)
    yield _case("gzip/json-cap", spaces, "body_too_large", 413, content_encoding="gzip")
    for coding in ("br", "zstd", "gzip, gzip", "gzip,deflate", "compress", "gzip2"):
        yield _case(f"coding/{coding}", TEXT, "encoding_unsupported", 415, content_encoding=coding)


def _mutated() -> Iterator[Case]:
    rng = random.Random(20)
    for index in range(400):
        body = bytearray(TEXT.encode())
        for _ in range(rng.randrange(1, 3)):
            match rng.randrange(3):
                case 0:
                    body[rng.randrange(len(body))] = rng.randrange(256)
                case 1:
                    del body[rng.randrange(len(body))]
                case _:
                    body.insert(rng.randrange(len(body)), rng.choice(b'{}[]",:0-.\\e\xff\0'))
        yield _case(f"mutated/{index}", bytes(body), http=0)
    for index in range(100):
        yield _case(f"random/{index}", rng.randbytes(rng.randrange(80)))
