"""Folders of trained models: weights, description, log, curves and card; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from alps_geo.errors import ModelError
from alps_geo.files import replacing_folder, run_errors, write_bytes
from alps_geo.outputs.pages import render
from alps_geo.runs.stored_json import DamagedError, read_json
from alps_geo.training.history import write_learning_curves, write_log
from alps_geo.training.model import TrainedModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from alps_geo.training.history import EpochFigures

WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"
"""Files that make a model."""

LOG, CURVES, CARD = "log.csv", "curves.png", "README.md"
"""Files about its training."""

EVENTS = "tensorboard"
"""Folder of the event files of TensorBoard, where it is installed."""

PLAN = "training.json"
"""File of all that decides the weights, which marks the folder of a training."""

OF_TRAINING = ("checkpoint.safetensors", "best-*.safetensors", "labels", "labels-*", ".*.partial")
"""Patterns of the names of all that a training takes with it when it ends."""

OF_MODEL = (WEIGHTS, DESCRIPTION, LOG, CURVES, CARD)
"""Names of the files of a finished model."""


def read_model(folder: Path) -> TrainedModel:
    """Read the description of a trained model.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.

    Raises
    ------
    ModelError
        If it holds no trained model, or a damaged one.
    """
    path = Path(folder) / DESCRIPTION
    try:
        found = read_json(path, TrainedModel.from_json)
    except DamagedError as error:
        raise ModelError(f"{error}; train the model again, or give another") from error
    if found is None:
        raise ModelError(
            f"{folder} holds no trained model, for there is no {DESCRIPTION}; expected a folder "
            "that alps-geo train has finished"
        )
    return found


def read_weights(folder: Path, model: TrainedModel) -> dict[str, torch.Tensor]:
    """Read the weights of a trained model, on the CPU.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.
    model : TrainedModel
        Its description.

    Raises
    ------
    ModelError
        If they are absent, damaged, or not those of the description.
    """
    path = Path(folder) / WEIGHTS
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        weights: dict[str, torch.Tensor] = load_file(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); copy it again") from error
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged ({error}); copy it again") from error
    if digest != model.weights_sha256:
        raise ModelError(
            f"{path} has SHA-256 {digest[:12]}…, but {DESCRIPTION} says "
            f"{model.weights_sha256[:12]}…; copy both files of one model"
        )
    return weights


def write_model(
    folder: Path,
    model: TrainedModel,
    weights: Mapping[str, torch.Tensor],
    history: Sequence[EpochFigures],
) -> TrainedModel:
    """Write a trained model, whole or not at all, in the place of all that the folder holds.

    Of these, files of the training go; all others are kept, such as notes of a user.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder; one that is there is replaced at the end.
    model : TrainedModel
        The model; its ``weights_sha256`` is ignored.
    weights : mapping of str to Tensor
        State of its network.
    history : sequence of EpochFigures
        Figures of its epochs, one at least.

    Returns
    -------
    TrainedModel
        The model with the digest of its weights.

    Raises
    ------
    RunError
        If the folder cannot be written.
    """
    with replacing_folder(Path(folder)) as part:
        _keep(Path(folder), part)
        digest = write_tensors(part / WEIGHTS, weights)
        known = replace(model, weights_sha256=digest)
        write_log(part / LOG, history)
        write_learning_curves(part / CURVES, history, model.figures.best_epoch)
        write_bytes(part / CARD, render("trained_model.md", **_card(known)).encode())
        write_json(part / DESCRIPTION, known.to_json())
    return known


def _keep(folder: Path, part: Path) -> None:
    """Copy all that is neither of a training nor of a model."""
    if not folder.is_dir():
        return
    with run_errors(part / PLAN):
        for path in folder.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in (*OF_TRAINING, *OF_MODEL)):
                continue
            if path.is_dir():
                shutil.copytree(path, part / path.name)
            else:
                shutil.copy2(path, part / path.name)


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> str:
    """Write tensors as a safetensors file, whole or not at all, and return its SHA-256.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    dense = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # The library's own files may be read by nobody else.
    data = save(dense, metadata=dict(metadata or {}))
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write JSON for people, whole or not at all.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode())


def _card(model: TrainedModel) -> dict[str, object]:
    """Return the values of the card's template."""
    classes = [
        {"number": number, "class": each, "iou": iou}
        for number, (each, iou) in enumerate(
            zip(model.classes, model.figures.class_iou, strict=True)
        )
    ]
    settings = [(name, _text(value)) for name, value in model.settings.items()]
    return {"model": model, "classes": classes, "settings": settings, "weights": WEIGHTS}


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
