"""The manifest kinds: what they refuse, and that nothing is lost on the way to text and back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from penstock_registry.kinds import KINDS, SPECS, Kind, Metadata, Resource
from penstock_registry.manifest import decode, encode
from tests.support.resources import model, resource

GOOD: dict[Kind, dict[str, object]] = {
    "Backend": {
        "platform": "triton",
        "endpoints": [{"url": "http://10.0.0.1:8000", "grpc": "10.0.0.1:8001", "weight": 3}, {"grpc": "[::1]:8001"}],
        "limits": {"maxInFlight": 7, "connections": 2},
        "health": {"intervalSeconds": 0.5, "unhealthyAfter": 1},
        "options": {"threads": 2, "fast": True, "share": 0.5, "name": "x", "least": -(2**63)},
    },
    "Model": {
        "owner": "vision",
        "description": "two\nlines",
        "required": True,
        "signature": {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "y", "datatype": "BYTES", "shape": [-1], "optional": True}],
            "maxBatchSize": 8,
        },
        "versions": [
            {"id": "1", "framework": "onnx", "artifact": "file:models/a.onnx", "sha256": "0" * 64},
            {"id": "2", "artifact": "file:///srv/models/b.onnx", "labels": {"a": "b"}, "lineage": {"run": 7}},
        ],
        "aliases": {"stable": "1", "candidate": "2"},
    },
    "Deployment": {"model": "m@1", "backend": "b", "remote": {"name": "digits", "version": "3"}, "state": "UNLOADED"},
    "Placement": {"match": {"framework": "onnx", "labels": {"gpu": "yes"}}, "backend": "b", "priority": -1},
    "Route": {
        "targets": [{"to": "m@stable", "weight": 9}, {"to": "m@2"}],
        "sticky": {"by": "header/x-user"},
        "timeoutMs": 300,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_manifest_survives_text_and_back(kind: Kind) -> None:
    full = resource(kind, "some.name-1_x", GOOD[kind], team="a")

    again = decode(kind, encode(full), 7)

    assert (again.metadata, again.spec, again.revision) == (full.metadata, full.spec, 7)
    assert again.manifest()["spec"] == GOOD[kind]


def test_defaults_are_left_out_of_the_manifest() -> None:
    manifest = resource("Backend", "b", {"platform": "fake", "limits": {"connections": 64}}).manifest()

    assert manifest == {
        "apiVersion": "penstock/v1",
        "kind": "Backend",
        "metadata": {"name": "b"},
        "spec": {"platform": "fake"},
    }


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a..b", "-a", "_a", "a/b", "a\\b", "a b", "a\n", "a\x00", "ä", "a%2e%2e", "a@1", "a" * 129, ".a"],
)
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Metadata(name=name)
    with pytest.raises(ValidationError):
        SPECS["Placement"].model_validate({"backend": name})
    with pytest.raises(ValidationError):
        SPECS["Deployment"].model_validate({"model": f"{name}@1", "backend": "b"})
    with pytest.raises(ValidationError):
        SPECS["Model"].model_validate({"versions": [{"id": name}]})


@pytest.mark.parametrize("kind", ["Model", "Route"])
def test_the_name_of_the_statistics_path_is_reserved(kind: Kind) -> None:
    with pytest.raises(ValidationError, match="reserved"):
        resource(kind, "stats", GOOD[kind])


def test_a_resource_has_the_spec_of_its_kind() -> None:
    with pytest.raises(ValidationError, match="cannot have"):
        Resource(kind="Route", metadata=Metadata(name="a"), spec=model("a").spec)


def _version(**fields: object) -> Mapping[str, object]:
    return {"versions": [{"id": "1", **fields}]}


def _tensors(*names: str, shape: tuple[int, ...] = (1,)) -> Mapping[str, object]:
    tensors = [{"name": name, "datatype": "FP32", "shape": shape} for name in names]
    return {"signature": {"inputs": tensors, "outputs": []}}


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("Backend", {"platform": "fake", "endpoints": [{}]}, "needs a url"),
        ("Backend", {"platform": "fake", "endpoints": [{"url": "https://a:1"}]}, "http://host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"url": "http://u@a:1"}]}, "http://host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"url": "http://a:1/v2"}]}, "http://host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"url": "http://a:70000"}]}, "http://host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"url": "http://a\x00b"}]}, "http://host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"url": "http://a\n"}]}, "http://host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"grpc": "a"}]}, "host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"grpc": "dns:///a:1"}]}, "host:port"),
        ("Backend", {"platform": "fake", "endpoints": [{"grpc": "a:1"}, {"grpc": "a:1"}]}, "listed twice"),
        ("Backend", {"platform": "fake", "options": {"a": float("nan")}}, "finite"),
        ("Backend", {"platform": "fake", "options": {"a": "\ud800"}}, "unicode|control characters"),
        ("Backend", {"platform": "fake", "options": {"a": "\x00"}}, "control characters"),
        ("Backend", {"platform": "Fake!"}, "pattern"),
        ("Model", {"versions": [{"id": "1"}, {"id": "1"}]}, "listed twice"),
        ("Model", {"versions": [{"id": "1"}], "aliases": {"1": "1"}}, "both an alias and a version"),
        ("Model", {"versions": [{"id": "1"}], "aliases": {"a": "2"}}, "not listed"),
        ("Model", {"owner": "x" * 257}, "at most 256"),
        ("Model", {"owner": "\ud800"}, "unicode|control characters"),
        ("Model", _tensors("x", "x"), "listed twice"),
        ("Model", _tensors("ü" * 600), "1024 bytes"),
        ("Model", _tensors("x", shape=(-2,)), "greater than or equal to -1"),
        ("Model", _tensors("x", shape=(1,) * 33), "at most 32"),
        ("Model", _version(artifact="models/a.onnx"), "file: URI"),
        ("Model", _version(artifact="http://a/b.onnx"), "file: URI"),
        ("Model", _version(artifact="file:../a.onnx"), r"\.\."),
        ("Model", _version(artifact="file:///a/../b"), r"\.\."),
        ("Model", _version(artifact="file:a/%2e%2e/b"), "file: URI"),
        ("Model", _version(artifact="file:a\\..\\b"), "file: URI"),
        ("Model", _version(artifact="file:a\x00"), "file: URI"),
        ("Model", _version(artifact="file:a\n"), "file: URI"),
        ("Model", _version(artifact="file:"), "file: URI"),
        ("Model", _version(sha256="0" * 64), "without the artifact"),
        ("Model", _version(artifact="file:a", sha256="A" * 64), "pattern"),
        ("Model", _version(artifact="file:a", sha256="0" * 63), "pattern"),
        ("Deployment", {"model": "m", "backend": "b"}, "model@version"),
        ("Deployment", {"model": "m@1@2", "backend": "b"}, "pattern"),
        ("Deployment", {"model": "m@1", "backend": "b", "remote": {"name": "a/b"}}, "without spaces"),
        ("Deployment", {"model": "m@1", "backend": "b", "remote": {"name": "a..b"}}, r"\.\."),
        ("Deployment", {"model": "m@1", "backend": "b", "remote": {"version": ".."}}, "leading"),
        ("Deployment", {"model": "m@1", "backend": "b", "state": "LOADING"}, "READY"),
        ("Placement", {"backend": "b", "priority": 10**7}, "less than"),
        ("Route", {"targets": []}, "at least 1"),
        ("Route", {"targets": [{"to": "m", "weight": 0}]}, "weight above 0"),
        ("Route", {"targets": [{"to": "m"}, {"to": "m"}]}, "listed twice"),
        ("Route", {"targets": [{"to": "m"}], "sticky": {"by": "cookie/x"}}, "pattern"),
        ("Route", {"targets": [{"to": "m"}], "timeoutMs": 0}, "greater than or equal to 1"),
        ("Route", {"targets": [{"to": "m"}], "color": "red"}, "not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: Kind, spec: Mapping[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SPECS[kind].model_validate(spec)


@pytest.mark.parametrize(
    "url", ["http://a", "http://a:1", "http://10.0.0.1:8000/", "http://[::1]:80", "http://a-b.c_d"]
)
def test_an_address_needs_no_more_than_a_host(url: str) -> None:
    spec = SPECS["Backend"].model_validate({"platform": "fake", "endpoints": [{"url": url}]})

    assert spec.model_dump()["endpoints"][0]["url"] == url.rstrip("/")


def test_a_deployment_names_its_model_and_version() -> None:
    spec = SPECS["Deployment"].model_validate(GOOD["Deployment"])

    assert (getattr(spec, "model_name"), getattr(spec, "model_version")) == ("m", "1")  # noqa: B009


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        model("a").metadata.name = "b"
