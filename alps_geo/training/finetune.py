"""Fine-tuning: a trained network learns a few labels, of other classes if need be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import ModelError, SceneError, reason_of
from alps_geo.events import Event
from alps_geo.training.burnt_labels import LABELS, burn_labels
from alps_geo.training.chip_folder import open_chips
from alps_geo.training.model import NetworkSpec, Parent
from alps_geo.training.model_folder import read_model, read_weights
from alps_geo.training.networks import build_network, fill_network
from alps_geo.training.out_folder import OutFlags, claimed, earlier_model
from alps_geo.training.parts import with_validation
from alps_geo.training.processes import joined_processes
from alps_geo.training.run import Beginning, Request, run_training
from alps_geo.training.settings import FinetuneSettings
from alps_geo.training.survey import stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from alps_geo.evaluate import TruthFile
    from alps_geo.training.chip_folder import ChipFolder
    from alps_geo.training.model import TrainedModel
    from alps_geo.training.processes import Processes
    from alps_geo.training.survey import Survey

    Listener = Callable[[Event], None]

_FLAGS, _SETTINGS = OutFlags(), FinetuneSettings()

_HEAD = "segmentation_head."
"""First part of the names of the weights that give classes, in every architecture."""


@dataclass(frozen=True)
class FinetuneRequest:
    """Chips and labels to fine-tune a model on.

    Attributes
    ----------
    root : pathlib.Path
        Folder of chips.
    parent : pathlib.Path
        Folder of the model to begin with.
    labels : TruthFile, optional
        Polygons or a raster of classes to burn onto the chips, in the place of their masks.
    """

    root: Path
    parent: Path
    labels: TruthFile | None = None


def finetune(
    request: FinetuneRequest,
    out: Path,
    settings: FinetuneSettings = _SETTINGS,
    flags: OutFlags = _FLAGS,
    *,
    listen: Listener = lambda _: None,
) -> TrainedModel:
    """Train a network further, on a few labels.

    The head, which gives the classes, begins at random unless the classes are those of the model.

    >>> few = FinetuneSettings(fraction=0.05)
    >>> wanted = FinetuneRequest(Path("chips"), Path("model"))
    >>> finetune(wanted, Path("tuned"), few).figures.mean_iou  # doctest: +SKIP
    0.62

    Parameters
    ----------
    request : FinetuneRequest
        Chips, labels and model.
    out : pathlib.Path
        Folder of the new model.
    settings : FinetuneSettings
        Schedule, loss, augmentation and share of the labels.
    flags : OutFlags
        Permission to go on with a training, or to begin it again.
    listen : callable
        Given an `Event` for each chip that is looked at, each step and each note.

    Raises
    ------
    ModelError
        If the model cannot be read, or its bands are not those of the chips.
    AlpsGeoError
        As `alps_geo.training.pretrain.pretrain`.
    """
    parent = read_model(request.parent)
    folder = open_chips(request.root, masks=request.labels is None)
    stamp = _stamp(folder, request.labels)
    deciding = {**settings.deciding(), "chips": stamp, "parent": parent.weights_sha256}
    with joined_processes(settings.device) as processes:
        if (done := earlier_model(out, deciding, flags, processes)) is not None:
            return done
        with claimed(out, deciding, flags, processes):
            if request.labels is not None:
                folder = _burnt(folder, request.labels, out, processes, listen)
            parts = with_validation(folder, settings.val_share, settings.seed)
            begin = _Begin(request.parent, parent, parts, processes, listen)
            return run_training(
                Request(
                    parts,
                    stamp,
                    settings,
                    out,
                    processes,
                    settings.fraction,
                    settings.fraction_of == "pixels",
                    settings.freeze,
                ),
                begin,
                listen,
            )


def _burnt(
    folder: ChipFolder, labels: TruthFile, out: Path, processes: Processes, listen: Listener
) -> ChipFolder:
    """Burn labels, one process after the other so that none reads half a mask."""
    if processes.is_first:
        made = burn_labels(folder, labels, out / LABELS, listen)
    processes.wait()
    if not processes.is_first:
        made = burn_labels(folder, labels, out / f"{LABELS}-{processes.number}", lambda _: None)
    return made


def _stamp(folder: ChipFolder, labels: TruthFile | None) -> str:
    """Return the SHA-256 of chips and labels."""
    if labels is None:
        return stamp_of(folder, folder.chips)
    images = replace(folder, chips=tuple(replace(each, mask=each.image) for each in folder.chips))
    parts = (labels.field, labels.layer, tuple(labels.ignore), labels.names)
    digest = hashlib.sha256(f"{stamp_of(images, images.chips)} {parts}".encode())
    try:
        with Path(labels.path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise SceneError(
            f"{labels.path} cannot be read ({reason_of(error)}); expected a file of polygons or a "
            "raster of classes: check --labels"
        ) from error
    return digest.hexdigest()


@dataclass(frozen=True)
class _Begin:
    """Makes the network of a fine-tuning.

    Attributes
    ----------
    path : pathlib.Path
        Folder of the model to begin with.
    parent : TrainedModel
        The model.
    folder : ChipFolder
        The chips.
    processes : Processes
        Processes that train together.
    listen : callable
        Given notes.
    """

    path: Path
    parent: TrainedModel
    folder: ChipFolder
    processes: Processes
    listen: Listener

    def __call__(self, survey: Survey) -> Beginning:
        parent = self.parent
        if len(survey.bands) != len(parent.bands):
            raise ModelError(
                f"{self.path} was trained on {len(parent.bands)} bands "
                f"({', '.join(parent.band_names)}) and {self.folder.root} has {len(survey.bands)}; "
                "expected the same: export the chips with --bands"
            )
        spec = replace(parent.network, classes=len(self.folder.classes))
        network = build_network(spec).network
        self._fill(network, spec)
        is_scaled_alike = (self.folder.values, survey.dtype) == (parent.values, parent.dtype)
        if not is_scaled_alike:
            self._note(
                f"chips are {self.folder.values} {survey.dtype} values and those of the model were "
                f"{parent.values} {parent.dtype}: bands are scaled by their own statistics"
            )
        statistics = parent.bands if is_scaled_alike else survey.bands
        before = Parent(str(self.path.resolve()), parent.weights_sha256, parent.data)
        return Beginning(network, spec, statistics, "model", (before, *parent.parents))

    def _fill(self, network: nn.Module, spec: NetworkSpec) -> None:
        """Give a network the weights of the model, but for a head of other classes."""
        weights = read_weights(self.path, self.parent)
        known = [each.name for each in self.parent.classes]
        wanted = [each.name for each in self.folder.classes]
        if known != wanted:
            fresh = network.state_dict()
            weights = {
                name: fresh[name] if name.startswith(_HEAD) else value
                for name, value in weights.items()
            }
            self._note(
                f"{self.path} has {len(known)} classes and the labels have {spec.classes} others: "
                "the head begins at random"
            )
        fill_network(network, weights, str(self.path))

    def _note(self, text: str) -> None:
        if self.processes.is_first:
            self.listen(Event("look", note=text))
