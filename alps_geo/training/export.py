"""Export of trained models for other programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from alps_geo.errors import ModelError, RunError, one_line
from alps_geo.files import write_bytes
from alps_geo.training.model_folder import read_model
from alps_geo.training.networks import load_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from alps_geo.training.model import TrainedModel

TOLERANCE = 1e-4
"""Largest difference of logits from those of torch, as a share of the largest logit above 1."""

_INSTALL = 'pip install "alps-geo[onnx]"'


@dataclass(frozen=True)
class ExportedModel:
    """A trained model as a file for other programs.

    Attributes
    ----------
    path : str
        The file.
    side : int or None
        Height and width that its input has to have; None for all multiples of `stride`.
    stride : int
        Height and width are multiples of it.
    difference : float or None
        Largest difference of its logits from those of torch, on random images; None if
        onnxruntime is not installed.
    """

    path: str
    side: int | None
    stride: int
    difference: float | None

    def to_json(self) -> dict[str, object]:
        """Return the export as a JSON object."""
        return asdict(self)


def export_onnx(folder: Path, path: Path, *, overwrite: bool = False) -> ExportedModel:
    """Write a trained model as an ONNX file, which holds its bands, statistics and classes too.

    >>> export_onnx(Path("model"), Path("model.onnx")).difference  # doctest: +SKIP
    3.3e-07

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the model.
    path : pathlib.Path
        The file.
    overwrite : bool
        True to replace a file that is there.

    Raises
    ------
    ModelError
        If the model cannot be used, onnx is not installed, the network cannot be expressed in
        ONNX, or its logits differ from those of torch.
    RunError
        If the file is there already, or cannot be written.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        what = "is a folder" if path.is_dir() else "is there already"
        raise RunError(f"{path} {what}; choose another --out, or replace a file with --overwrite")
    try:
        from alps_geo.training.onnx import with_metadata
    except ModuleNotFoundError as error:
        raise ModelError(
            f"an export to ONNX needs {error.name}, which is not installed; {_INSTALL} brings it"
        ) from error
    model = read_model(folder)
    network = load_network(folder, model)
    side = -(-max(model.chip_size, 2 * model.stride) // model.stride) * model.stride
    fixed: int | None = None
    try:
        data, difference = _checked(network, model, side, any_size=True)
    except _UnlikeError:
        fixed = side
        try:
            data, difference = _checked(network, model, side, any_size=False)
        except _UnlikeError as error:
            raise ModelError(
                f"{folder}: {model.architecture} with {model.encoder} cannot be exported to ONNX "
                f"({error}); expected logits like those of torch: train another --arch"
            ) from error
    write_bytes(path, with_metadata(data, model))
    return ExportedModel(str(path), fixed, model.stride, difference)


class _UnlikeError(Exception):
    """A file that is not the network, or none at all."""


def _checked(
    network: nn.Module, model: TrainedModel, side: int, *, any_size: bool
) -> tuple[bytes, float | None]:
    """Export a network; return the file, and its difference from torch if that can be known."""
    from alps_geo.training.onnx import to_onnx

    try:
        data = to_onnx(network, len(model.bands), side, any_size=any_size)
    except RuntimeError as error:
        raise _UnlikeError(one_line(error)[:200]) from error
    shapes = [(1, side, side), (2, side, side)]
    if any_size:
        shapes += [(1, side + model.stride, side), (2, model.stride, 3 * model.stride)]
    draw = np.random.default_rng(0)
    images = [
        draw.standard_normal((count, len(model.bands), *size), np.float32)
        for count, *size in shapes
    ]
    try:
        from alps_geo.training.onnxruntime import ERRORS, run_onnx
    except ModuleNotFoundError:
        return data, None
    try:
        found = run_onnx(data, images)
    except ERRORS as error:
        raise _UnlikeError(one_line(error)[:200]) from error
    return data, _difference(network, images, found)


def _difference(
    network: nn.Module,
    images: Sequence[NDArray[np.float32]],
    found: Sequence[NDArray[np.float32]],
) -> float:
    """Return the largest difference of logits from those of torch; raise for a large one."""
    largest = 0.0
    for image, logits in zip(images, found, strict=True):
        with torch.inference_mode():
            expected = network(torch.from_numpy(image)).numpy()
        if logits.shape != expected.shape:
            raise _UnlikeError(f"logits have shape {logits.shape}, expected {expected.shape}")
        difference = float(np.abs(logits - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise _UnlikeError(f"logits differ by {difference:g}, expected {TOLERANCE:g} at most")
        largest = max(largest, difference)
    return largest
