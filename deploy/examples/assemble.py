"""Put the Triton model repository of the examples together: what stands in `triton/`, and the ONNX file it runs.

    python deploy/examples/assemble.py DIRECTORY

The file is stored once, in `models/`, so that what Triton runs cannot drift from what runs in process.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent


def assemble(target: Path) -> Path:
    """Write the repository to `target`, which may exist already, and return it."""
    shutil.copytree(EXAMPLES / "triton", target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(EXAMPLES / "models" / "digits-v1.onnx", target / "digits" / "1" / "model.onnx")
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="where to write the repository")
    print(assemble(parser.parse_args().directory))
