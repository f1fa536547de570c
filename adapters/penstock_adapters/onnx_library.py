"""ONNX Runtime as Penstock imports it: silent. Import `ort` and `native` from here.

Its official packages tell Microsoft about every session, model file names and hashes included, and keep a device id under
~/.cache, unless this variable is set before the library is loaded; the call that disables it comes too late.
"""

from __future__ import annotations

import os

os.putenv("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort  # after the variable was set
from onnxruntime.capi import onnxruntime_pybind11_state as native

__all__ = ["native", "ort"]
