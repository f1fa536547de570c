"""Manifest files are read whole: every problem comes with file, line and field, and all of them at once."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import pytest

from penstock_gateway.manifests import ManifestError, read_manifests
from penstock_registry.kinds import ModelSpec

HEAD = "apiVersion: penstock/v1\n"
MODEL = HEAD + "kind: Model\nmetadata: {name: m}\nspec:\n"
ROUTE = HEAD + "kind: Route\nmetadata: {name: r}\nspec:\n"
BACKEND = HEAD + "kind: Backend\nmetadata: {name: b}\nspec:\n"
DATATYPES = "BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES"

BROKEN = {
    "no kind": (HEAD + "metadata: {name: m}\n", ["m.yaml:1: 'kind' is missing"]),
    "misspelt kind": (HEAD + "kind: Modell\nmetadata: {name: m}\n", ["m.yaml:2: kind: 'Modell' is not a kind; did you mean 'Model'?"]),
    "other version": ("apiVersion: penstock/v2\nkind: Model\nmetadata: {name: m}\n", ["m.yaml:1: apiVersion: must be 'penstock/v1', not 'penstock/v2'"]),
    "no name": (HEAD + "kind: Model\nmetadata: {}\n", ["m.yaml:3: metadata.name: is missing; this field is required"]),
    "bad name": (HEAD + "kind: Model\nmetadata:\n  name: a/b\n", ["m.yaml:4: metadata.name: must be a name: letters, digits, '.', '_' and '-', starting with a letter or digit, at most 128; not 'a/b'"]),
    "number as name": (HEAD + "kind: Model\nmetadata:\n  name: 7\n", ['m.yaml:4: metadata.name: must be text: put it in quotes, "7"']),
    "unknown member": (MODEL + "  owner: me\nstatsu: 3\n", ["m.yaml:6: statsu: unknown field; known: apiVersion, kind, metadata, spec"]),
    "unknown field": (MODEL + "  ownr: me\n", ["m.yaml:5: spec.ownr: unknown field; did you mean 'owner'?"]),
    "misspelt weight": (ROUTE + "  targets:\n    - to: m\n      wieght: 3\n", ["m.yaml:7: spec.targets[0].wieght: unknown field; did you mean 'weight'?"]),
    "version as number": (MODEL + "  versions:\n    - id: 1\n", ['m.yaml:6: spec.versions[0].id: must be text: put it in quotes, "1"']),
    "doubled version": (MODEL + "  versions:\n    - {id: a}\n    - {id: a}\n", ["m.yaml:4: spec: version 'a' is listed twice"]),
    "alias to nothing": (MODEL + "  aliases: {stable: '1'}\n", ["m.yaml:4: spec: alias 'stable' points to version '1', which is not listed"]),
    "datatype": (MODEL + "  signature:\n    inputs: [{name: x, datatype: FLOAT, shape: [-1]}]\n    outputs: []\n", [f"m.yaml:6: spec.signature.inputs[0].datatype: must be one of {DATATYPES}; not 'FLOAT'"]),
    "shape": (MODEL + "  signature:\n    inputs: [{name: x, datatype: FP32, shape: [-2]}]\n    outputs: []\n", ["m.yaml:6: spec.signature.inputs[0].shape[0]: must be at least -1"]),
    "https endpoint": (BACKEND + "  platform: triton\n  endpoints:\n    - url: https://h:1\n", ["m.yaml:7: spec.endpoints[0].url: must be http://host:port without path, user or query"]),
    "label as boolean": (HEAD + "kind: Model\nmetadata:\n  name: m\n  labels:\n    big: true\n", ['m.yaml:6: metadata.labels.big: must be text: put it in quotes, "true"']),
    "doubled key": (MODEL + "  owner: a\n  owner: b\n", ["m.yaml:6: the key 'owner' stands twice in one mapping; remove one"]),
    "alias": (MODEL + "  owner: &o a\n  description: *o\n", ["m.yaml:6: alias *o: aliases are not read here; write the value out"]),
    "tag": (MODEL + "  owner: !!python/name:os.system\n", ["m.yaml:5: tag tag:yaml.org,2002:python/name:os.system: tags are not read here; remove it and quote text"]),
    "no yaml": (MODEL + "  owner: [a\n", ["m.yaml:6: this is not YAML: did not find expected ',' or ']' (while parsing a flow sequence)"]),
    "empty": ("# nothing\n", ["m.yaml:1: there is no manifest in it"]),
    "a word": ("hello\n", ["m.yaml:1: a manifest must be a mapping with apiVersion, kind, metadata, spec, not text"]),
    "no weight": (ROUTE + "  targets: [{to: m, weight: 0}]\n", ["m.yaml:4: spec: at least one target needs a weight above 0"]),
    "missing artifact": (MODEL + "  versions:\n    - {id: a, artifact: no.onnx}\n", ["m.yaml:6: spec.versions[0].artifact: no.onnx cannot be read: No such file or directory; a path is relative to the manifest's folder"]),
    "wrong digest": (MODEL + f"  versions:\n    - id: a\n      artifact: m.onnx\n      sha256: {'a' * 64}\n", [f"m.yaml:8: spec.versions[0].sha256: does not match: m.onnx has {hashlib.sha256(b'onnx').hexdigest()}; remove this field to take the file as it is"]),
    "folder as artifact": (MODEL + "  versions: [{id: a, artifact: .}]\n", ["m.yaml:5: spec.versions[0].artifact: . is a folder; name the model file in it"]),
    "two of a name": (MODEL + "---\n" + MODEL, ["m.yaml:8: metadata.name: Model 'm' is already defined at m.yaml:1; remove one"]),
    "several": (
        MODEL + "  ownr: me\n  versions: [{id: 1}]\n---\n" + ROUTE + "  targets: []\n---\nkind: Thing\n",
        [
            "m.yaml:5: spec.ownr: unknown field; did you mean 'owner'?",
            'm.yaml:6: spec.versions[0].id: must be text: put it in quotes, "1"',
            "m.yaml:12: spec.targets: must have at least 1 entry",
            "m.yaml:14: 'apiVersion' is missing; write apiVersion: penstock/v1",
            "m.yaml:14: 'metadata' is missing",
            "m.yaml:14: kind: 'Thing' is not a kind; known: Backend, Deployment, Model, Placement, Route",
        ],
    ),
}  # fmt: skip


def problems(*sources: str) -> list[str]:
    with pytest.raises(ManifestError) as raised:
        read_manifests(sources)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_is_answered_with_file_line_field_and_cure(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = BROKEN[case]
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(text)
    Path("m.onnx").write_bytes(b"onnx")

    assert problems("m.yaml") == expected


def test_the_problems_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(HEAD + "kind: Model\n")
    (tmp_path / "c.yaml").write_bytes(b"\xff")

    assert problems(str(tmp_path), str(tmp_path / "d.yaml")) == [
        f"{tmp_path}/a.yaml:1: 'metadata' is missing",
        f"{tmp_path}/b.yaml:1: 'metadata' is missing",
        f"{tmp_path}/c.yaml:1: this is not UTF-8 text",
        f"{tmp_path}/d.yaml:1: cannot be read: No such file or directory",
    ]


def test_a_folder_gives_its_yaml_files_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/z.yml", ".git/x.yaml", "notes.txt", "request.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + f"kind: Model\nmetadata: {{name: {path.stem}}}\n")

    found = read_manifests([str(tmp_path)])

    assert [(m.resource.metadata.name, m.line) for m in found] == [("z", 1), ("b", 1)]


def test_a_folder_without_manifests_is_an_error(tmp_path: Path) -> None:
    assert problems(str(tmp_path)) == [f"{tmp_path}:1: this folder holds no .yaml or .yml file"]


def test_a_path_becomes_a_uri_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.onnx").write_bytes(b"onnx")
    rows = [
        "models/a.onnx",
        "file:models/../models/a.onnx",
        str(tmp_path / "models/a.onnx"),
        "file:///elsewhere/m.onnx",
    ]
    lines = "".join(f'    - {{id: "{index}", artifact: "{row}"}}\n' for index, row in enumerate(rows))
    path = tmp_path / "m.yaml"
    path.write_text(MODEL + "  versions:\n" + lines)

    spec = read_manifests([str(path)])[0].resource.spec

    assert isinstance(spec, ModelSpec)
    digest, uri = hashlib.sha256(b"onnx").hexdigest(), (tmp_path / "models/a.onnx").as_uri()
    assert [(version.artifact, version.sha256) for version in spec.versions] == [
        (uri, digest), (uri, digest), (uri, digest), ("file:///elsewhere/m.onnx", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("as_list", [True, False])
def test_json_is_read_with_lines_too(tmp_path: Path, *, as_list: bool) -> None:
    good = {"apiVersion": "penstock/v1", "kind": "Model", "metadata": {"name": "m"}, "spec": {}}
    bad = good | {"metadata": {"name": "n"}, "spec": {"ownr": "me"}}
    path = tmp_path / "m.json"
    path.write_text(json.dumps([good, bad] if as_list else bad, indent=1))

    lines = path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "ownr" in text)
    where = f"{path}:{line}: "
    assert problems(str(path)) == [where + "spec.ownr: unknown field; did you mean 'owner'?"]


@pytest.mark.parametrize(
    "text", [MODEL, json.dumps([{"apiVersion": "penstock/v1", "kind": "Model", "metadata": {"name": "m"}}])]
)
def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    assert [m.resource.metadata.name for m in read_manifests(["-"])] == ["m"]


def test_the_examples_are_valid() -> None:
    assert len(read_manifests(["deploy/examples"])) >= 10


def test_ten_thousand_models_in_one_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(
        "".join(
            f"---\n{HEAD}kind: Model\nmetadata: {{name: m{i}}}\nspec: {{versions: [{{id: a}}]}}\n"
            for i in range(10_000)
        )
    )

    found = read_manifests([str(path)])

    assert len(found) == 10_000
    assert found[-1].line == 9999 * 5 + 2
