"""Networks in ONNX files, run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    RuntimeException,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ERRORS = (Fail, InvalidArgument, InvalidGraph, RuntimeException)
"""Errors of onnxruntime on a file, or on an input of a shape that does not go with it."""


def run_onnx(data: bytes, images: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Run the network of an ONNX file on the CPU.

    Parameters
    ----------
    data : bytes
        The file.
    images : sequence of ndarray of float32, shape (N, B, H, W)
        Inputs.

    Returns
    -------
    list of ndarray of float32, shape (N, k, H, W)
        Its logits for each.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [np.asarray(session.run(None, {name: image})[0]) for image in images]
