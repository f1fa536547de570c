"""curl against the example models: what a person types, over every path the protocol names."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock_gateway.rest import EXTENSIONS
from tests.support import digits
from tests.support.penstock import Penstock

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


class Said(NamedTuple):
    """What curl printed."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Curl = Callable[..., Said]


@pytest.fixture
def curl(examples: Penstock, tmp_path: Path) -> Curl:
    """`curl <words> http://.../<path>`."""

    def run(path: str, *words: str) -> Said:
        head, body = tmp_path / "head", tmp_path / "body"
        body.unlink(missing_ok=True)
        command = ["curl", "-sS", "--max-time", "30", "--path-as-is", "-D", str(head), "-o", str(body)]
        command += [*words, f"http://127.0.0.1:{examples.http}{path}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        lines = head.read_bytes().decode("latin-1").strip().split("\r\n\r\n")[-1].split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return Said(int(lines[0].split()[1]), headers, body.read_bytes() if body.exists() else b"")

    return run


IMAGE = digits.json_body(digits.images()[:1]).decode()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"live": True, "ready": True}),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
        ("/v2/models/digits/versions/2/ready", {"name": "digits", "ready": True}),
        ("/v2/models/digits-triton/ready/", {"name": "digits-triton", "ready": True}),
        ("/v2/models", {"models": ["digits", "digits-live", "digits-triton", "intent"]}),
    ],
)
def test_health_and_the_list_of_models(curl: Curl, path: str, said: object) -> None:
    answer = curl(path)

    assert (answer.status, answer.json) == (200, said)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_tells_its_extensions(curl: Curl, path: str) -> None:
    answer = curl(path)

    assert answer.status == 200
    assert set(answer.json) == {"name", "version", "extensions"}
    assert answer.json["extensions"] == list(EXTENSIONS)


@pytest.mark.parametrize("version", ["", "/versions/1", "/versions/2"])
def test_a_model_tells_its_metadata_configuration_and_statistics(curl: Curl, version: str) -> None:
    metadata, config, stats = (curl(f"/v2/models/digits{version}{tail}") for tail in ("", "/config", "/stats"))

    assert [answer.status for answer in (metadata, config, stats)] == [200, 200, 200]
    assert metadata.json["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}]
    assert config.json["name"] == "digits"
    expected = {version.rpartition("/")[2]} if version else {"1", "2"}
    assert {entry["version"] for entry in stats.json["model_stats"]} == expected


def test_the_statistics_of_all_models(curl: Curl) -> None:
    names = {entry["name"] for entry in curl("/v2/models/stats").json["model_stats"]}

    assert {"digits", "digits-triton", "intent"} <= names


@pytest.mark.parametrize("words", [(), ("-d", ""), ("-d", "{}"), ("-d", '{"ready":true}')])
def test_the_repository_index(curl: Curl, words: tuple[str, ...]) -> None:
    answer = curl("/v2/repository/index", "-X", "POST", *words)

    assert answer.status == 200
    assert {"name": "digits", "version": "1", "state": "READY"}.items() <= next(
        entry.items() for entry in answer.json if (entry["name"], entry["version"]) == ("digits", "1")
    )


@pytest.mark.parametrize(("version", "answered"), [("", "1"), ("/versions/1", "1"), ("/versions/2", "2")])
def test_inference_with_what_curl_sends_by_itself(curl: Curl, version: str, answered: str) -> None:
    """-d says application/x-www-form-urlencoded, which is not what it is."""
    answer = curl(f"/v2/models/digits{version}/infer", "-d", IMAGE)

    assert (answer.status, answer.json["model_version"]) == (200, answered)
    assert digits.from_json(answer.body) == digits.truths(answered)[0]
    assert answer.headers["penstock-served-by"] == f"digits-{answered}-local"
    assert "id" not in answer.json


def test_the_requests_that_ship_with_the_examples(curl: Curl) -> None:
    digit = curl("/v2/models/digits/infer", "-d", f"@{digits.EXAMPLES / 'requests' / 'digit.json'}")
    intent = curl("/v2/models/intent/infer", "-d", f"@{digits.EXAMPLES / 'requests' / 'intent.json'}")

    assert (digit.json["id"], digit.json["outputs"][0]["data"]) == ("a-handwritten-2", [2])
    assert intent.json["outputs"][0]["data"] == ["account", "delivery"]


def test_binary_in_and_out(curl: Curl, tmp_path: Path) -> None:
    body, length = digits.binary_body(digits.images()[:3])
    (tmp_path / "request").write_bytes(body)
    words = ("--data-binary", f"@{tmp_path / 'request'}", "-H", f"Inference-Header-Content-Length: {length}")

    answer = curl("/v2/models/digits-triton/infer", *words)

    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert digits.from_binary(answer.body, int(answer.headers[digits.LENGTH])) == digits.truth(digits.images()[:3])


def test_compressed_and_chunked_and_expecting_to_continue(curl: Curl, tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(gzip.compress(digits.json_body(digits.images()[:50])))
    packed = ("--data-binary", f"@{tmp_path / 'request'}", "-H", "Content-Encoding: gzip")
    for more in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue"), ("--compressed",)):
        answer = curl("/v2/models/digits/infer", *packed, *more)

        assert answer.status == 200
        assert digits.from_json(answer.body) == digits.truth(digits.images()[:50])


@pytest.mark.parametrize(
    ("path", "words", "status"),
    [
        ("/v2/models/nobody/infer", ("-d", IMAGE), 404),
        ("/v2/models/digits/versions/9/infer", ("-d", IMAGE), 404),
        ("/v2/models/digits/versions/latest", (), 404),
        ("/v2/models/nobody/ready", (), 404),
        ("/v2//models", (), 404),
        ("/v2/models/digits/infer", (), 405),
        ("/v2/health/live", ("-X", "DELETE"), 405),
        ("/v2/models/digits/infer", ("-d", "{"), 400),
        ("/v2/models/digits/infer", ("-d", IMAGE.replace("FP32", "FP64")), 400),
        ("/v2/models/digits/infer", ("-d", IMAGE, "-H", "Content-Encoding: br"), 415),
        ("/v2/systemsharedmemory/status", (), 501),
        ("/v2/models/digits/infer", ("-d", IMAGE, "-H", "Content-Length: 99999999999"), 413),
    ],
)
def test_refusals_are_json_with_one_word(curl: Curl, path: str, words: tuple[str, ...], status: int) -> None:
    answer = curl(path, *words)

    assert answer.status == status
    assert set(answer.json) == {"error"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["penstock-reason"]


def test_head_works_where_get_does(curl: Curl) -> None:
    for path in ("/v2/health/live", "/v2/models/digits", "/v2"):
        answer = curl(path, "--head")
        assert answer.status == 200
        assert int(answer.headers["content-length"]) == len(curl(path).body)


def test_metrics_are_there(curl: Curl) -> None:
    text = curl("/metrics").body.decode()

    assert "penstock_requests_total" in text
