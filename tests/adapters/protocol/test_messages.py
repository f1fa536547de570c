from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from penstock_adapters.protocol import messages

PROTOS = ("inference.proto", "health.proto")


def test_the_shipped_descriptor_set_is_the_compiled_proto(tmp_path: Path) -> None:
    source = Path(str(files("penstock_adapters.protocol")))
    out = tmp_path / "out.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(source), "--include_imports"]
    subprocess.run([*command, f"--descriptor_set_out={out}", *PROTOS], check=True, timeout=60)
    assert out.read_bytes() == (source / "inference.binpb").read_bytes()


OURS = "from penstock_adapters.protocol import messages"
THEIRS = "import tritonclient.grpc, grpc_health.v1.health_pb2"
PROOF = """
from tritonclient.grpc import service_pb2
theirs = service_pb2.ModelInferRequest(model_name="m")
theirs.inputs.add(name="x", datatype="FP32", shape=[2])
ours = messages.ModelInferRequest.FromString(theirs.SerializeToString())
assert ours.inputs[0].shape == [2] and type(ours) is not type(theirs)
"""


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "tritonclient first"])
def test_tritonclient_lives_in_the_same_process(order: tuple[str, str]) -> None:
    code = "\n".join((*order, PROOF))
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_every_rpc_has_its_classes_and_streaming() -> None:
    assert len(messages.METHODS) == 20
    assert messages.METHODS["ModelInfer"].path == "/inference.GRPCInferenceService/ModelInfer"
    assert messages.METHODS["ModelInfer"].request is messages.ModelInferRequest
    streaming = {name for name, m in messages.METHODS.items() if m.client_streaming and m.server_streaming}
    assert streaming == {"ModelStreamInfer"}
    assert messages.HEALTH_METHODS["Watch"].server_streaming
    assert not messages.HEALTH_METHODS["Watch"].client_streaming


def test_kserves_layout_of_a_load_answer_is_written() -> None:
    answer = messages.METHODS["RepositoryModelLoad"].response(model_name="m", isLoaded=True)
    assert answer.SerializeToString() == b"\x0a\x01m\x10\x01"


def test_an_unknown_message_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        messages.message_class("inference.Nothing")
