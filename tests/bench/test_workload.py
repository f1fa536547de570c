from __future__ import annotations

import numpy as np
from tritonclient.grpc import service_pb2

from tests.bench import grpc_wire, rest_wire
from tests.bench.calls import DOWNLOAD, UPLOAD, blob, complaint, oracle, small
from tests.bench.jobs import Job
from tests.bench.upstream import infer
from tests.bench.workload import calls

JOB = Job(1, "json", 100)


def test_calls_are_spread_over_all_models_and_always_the_same() -> None:
    job = Job(1, "json", 100, model="m{}", models=1000, distinct=64)

    names = [call.model for call in calls(job)]

    assert len(set(names)) == 64
    assert {"m0", "m999"} <= set(names)
    assert names == [call.model for call in calls(job)]


def test_every_call_differs() -> None:
    bodies = {rest_wire.json_body(call) for call in calls(JOB)}

    assert len(bodies) == JOB.distinct


def test_an_upload_is_recognised_however_it_is_cut() -> None:
    data = blob(1000).tobytes()

    (whole,) = oracle(UPLOAD, [data])
    (cut,) = oracle(UPLOAD, [data[:7], memoryview(data)[7:]])
    (other,) = oracle(UPLOAD, [data[:-1] + b"\0"])

    assert np.array_equal(whole.array, cut.array)
    assert not np.array_equal(whole.array, other.array)


def test_a_download_gives_as_many_elements_as_asked_for() -> None:
    (tensor,) = oracle(DOWNLOAD, [np.array([17]).tobytes()])

    assert tensor.array.shape == (17,)


def test_the_upstream_reads_a_header_that_arrives_in_pieces() -> None:
    call = small("digits", 3)
    header, raw = rest_wire.binary_body(call)
    body = header + raw

    document, tensors = infer("digits", [body[:10], body[10:50], body[50:]], len(header))

    answer = rest_wire.read_answer(document + b"".join(tensors), len(document))
    assert complaint(call, answer) == ""


def test_typed_grpc_contents_are_packed_like_raw_ones() -> None:
    call = small("digits", 3)
    request = service_pb2.ModelInferRequest.FromString(grpc_wire.encode_call(call))
    raw = request.raw_input_contents[0]
    request.inputs[0].contents.fp32_contents.extend(call.inputs[0].array.ravel().tolist())

    assert grpc_wire.pack(request.inputs[0]) == raw
