"""CPU µs of one `session.run` with its input ready: what no server can be below. argv: MODEL_FILE; prints the number."""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime

RUNS = 20_000


def main(path: str) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: np.ones((1, 64), np.float32)}
    for _ in range(RUNS // 10):
        session.run(None, feeds)
    started = time.process_time_ns()
    for _ in range(RUNS):
        session.run(None, feeds)
    print((time.process_time_ns() - started) / 1e3 / RUNS)


if __name__ == "__main__":
    main(sys.argv[1])
