"""Pre-training: a network of a chosen shape learns the labels of a folder of chips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.events import Event
from alps_geo.training.checkpoint import read_checkpoint
from alps_geo.training.chip_folder import open_chips
from alps_geo.training.model import NetworkSpec
from alps_geo.training.networks import build_network, check_encoder
from alps_geo.training.out_folder import OutFlags, claimed, earlier_model
from alps_geo.training.parts import with_validation
from alps_geo.training.processes import joined_processes
from alps_geo.training.run import Beginning, Request, run_training
from alps_geo.training.settings import PretrainSettings
from alps_geo.training.survey import stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alps_geo.training.model import TrainedModel
    from alps_geo.training.survey import Survey

_FLAGS, _SETTINGS = OutFlags(), PretrainSettings()


def pretrain(
    root: Path,
    out: Path,
    settings: PretrainSettings = _SETTINGS,
    flags: OutFlags = _FLAGS,
    *,
    listen: Callable[[Event], None] = lambda _: None,
) -> TrainedModel:
    """Train a network on the labels of chips, such as pseudo-labels.

    >>> pretrain(Path("chips"), Path("model")).figures.mean_iou  # doctest: +SKIP
    0.41

    Parameters
    ----------
    root : pathlib.Path
        Folder of chips; see `alps_geo.training.chip_folder.open_chips`.
    out : pathlib.Path
        Folder of the model.
    settings : PretrainSettings
        Network, schedule, loss and augmentation.
    flags : OutFlags
        Permission to go on with a training, or to begin it again.
    listen : callable
        Given an `Event` for each chip that is looked at, each step and each note.

    Raises
    ------
    SceneError
        If the folder holds no chips with masks, or they do not go with each other.
    SettingsError
        If there is no such network, or the settings do not go with it or the chips.
    ModelError
        If the loss is no number any more.
    RunError
        If the folder of the model is taken or cannot be written.
    """
    check_encoder(settings.encoder)
    folder = with_validation(open_chips(root), settings.val_share, settings.seed)
    stamp = stamp_of(folder, folder.chips)
    deciding = {**settings.deciding(), "chips": stamp}
    with joined_processes(settings.device) as processes:
        if (done := earlier_model(out, deciding, flags, processes)) is not None:
            return done

        def begin(survey: Survey) -> Beginning:
            spec = NetworkSpec(
                settings.arch, settings.encoder, len(survey.bands), len(folder.classes)
            )
            made = build_network(spec, settings.weights)
            about = {"imagenet": "an encoder of ImageNet", "random": "random weights"}
            # A training that goes on takes the weights of its checkpoint.
            if processes.is_first and read_checkpoint(out) is None:
                note = made.note or f"training begins with {about[made.weights]}"
                listen(Event("look", note=note))
            return Beginning(made.network, spec, survey.bands, made.weights)

        request = Request(folder, stamp, settings, out, processes)
        with claimed(out, deciding, flags, processes):
            return run_training(request, begin, listen)
