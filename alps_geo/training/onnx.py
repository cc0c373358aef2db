"""ONNX files of networks, with all that a program needs to know to use them."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import onnx
import torch

if TYPE_CHECKING:
    from torch import nn

    from alps_geo.training.model import TrainedModel

INPUT, OUTPUT = "image", "logits"
"""Names of the input (batch, bands, height, width) and of the output (batch, classes, ...)."""


def to_onnx(network: nn.Module, bands: int, side: int, *, any_size: bool) -> bytes:
    """Trace a network.

    Parameters
    ----------
    network : torch.nn.Module
        The network, in evaluation mode.
    bands : int
        Channels that go in.
    side : int
        Height and width of the image that it is traced with.
    any_size : bool
        True if batch, height and width are free; else the batch alone.

    Raises
    ------
    RuntimeError
        If it cannot be traced.
    """
    free = {0: "batch", 2: "height", 3: "width"} if any_size else {0: "batch"}
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            network,
            (torch.zeros(1, bands, side, side),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free, OUTPUT: free},
            # The exporter by torch.export takes ten times as long, and needs onnxscript.
            dynamo=False,
        )
        return path.read_bytes()


def with_metadata(data: bytes, model: TrainedModel) -> bytes:
    """Return the bytes of an ONNX file that describes the bands and classes of a model.

    Its ``metadata_props`` are texts; ``bands`` and ``classes`` are JSON.
    """
    found = onnx.load_from_string(data)
    texts = {
        "architecture": model.architecture,
        "encoder": model.encoder,
        "bands": json.dumps([asdict(each) for each in model.bands]),
        "classes": json.dumps([asdict(each) for each in model.classes], ensure_ascii=False),
        "values": model.values,
        "dtype": model.dtype,
        "stride": str(model.stride),
        "weights_sha256": model.weights_sha256,
    }
    onnx.helper.set_model_props(found, texts)
    found.doc_string = (
        "Logits of the classes of each pixel. The input is (value - mean) / std of each band, 0 "
        f"without data; height and width are multiples of {model.stride}."
    )
    onnx.checker.check_model(found)
    return bytes(found.SerializeToString())
