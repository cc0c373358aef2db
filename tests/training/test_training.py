"""Trainings: the same weights from the same seed, from any bands, to a model of the best epoch."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from training_chips import SIDE, make_chips, train_small, write_mask

from alps_geo.errors import ModelError, RunError, SettingsError
from alps_geo.training import batches, history, loop, run
from alps_geo.training.chips import ClassPositions, read_chip
from alps_geo.training.model_folder import read_model, read_weights
from alps_geo.training.networks import load_network

if TYPE_CHECKING:
    from alps_geo.events import Event
    from alps_geo.training.chip_folder import ChipFile


def test_a_seed_trains_the_same_weights_and_another_one_does_not(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips")
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        train_small(chips, tmp_path / name, seed=seed)
    one, two, other = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two", "other")
    )
    assert one == two
    assert one != other


@pytest.mark.parametrize(
    ("bands", "dtype"), [((1,), "uint8"), ((1, 2, 3), "uint16"), ((1, 2, 3, 4, 1), "int16")]
)
def test_any_bands_of_any_depth_are_trained_on_and_told(
    tmp_path: Path, bands: tuple[int, ...], dtype: str
) -> None:
    chips = make_chips(tmp_path / "chips", train=3, bands=bands, dtype=dtype)
    model = train_small(chips, tmp_path / "model", epochs=1)
    assert len(model.bands) == len(bands)
    assert model.dtype == dtype
    network = load_network(tmp_path / "model", read_model(tmp_path / "model"))
    assert network(torch.zeros(1, len(bands), 32, 64)).shape == (1, 16, 32, 64)


def test_statistics_are_those_of_the_chips_that_are_trained_on(tmp_path: Path) -> None:
    import rasterio

    chips = make_chips(tmp_path / "chips", dtype="uint16")
    model = train_small(chips, tmp_path / "model", epochs=1)
    values = []
    for path in sorted((chips / "img_dir" / "train").iterdir()):
        with rasterio.open(path) as chip:
            values.append(chip.read().reshape(4, -1))
    together = np.concatenate(values, axis=1)
    np.testing.assert_allclose([each.mean for each in model.bands], together.mean(axis=1))
    np.testing.assert_allclose([each.std for each in model.bands], together.std(axis=1))


def test_training_learns_what_the_masks_say(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=4, val=2)
    for split in ("train", "val"):
        for path in (chips / "img_dir" / split).iterdir():
            bright = _blocks(path)
            write_mask(chips, split, path.stem, bright)
    model = train_small(
        chips,
        tmp_path / "model",
        epochs=20,
        batch_size=4,
        patience=0,
        color=0.0,
        class_weights="none",
    )
    assert model.figures.accuracy > 0.9
    assert model.figures.class_iou[2:] == (None,) * 14


def _blocks(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Class 1 where a chip is bright, 0 where it is dark, in a raster that it is painted with."""
    import rasterio

    rows, cols = np.indices((40, 40)) // 10
    mask = ((rows + cols) % 2).astype(np.uint8)
    with rasterio.open(path, "r+") as chip:
        chip.write(np.stack([200 * mask + 20] * 4))
    return mask


def test_an_epoch_takes_so_many_steps_and_ends_with_a_validation(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=5)
    heard: list[Event] = []
    model = train_small(
        chips, tmp_path / "model", epochs=2, epoch_steps=7, batch_size=3, listen=heard.append
    )
    assert max(event.tiles for event in heard if event.stage == "train") == 14
    assert model.figures.epochs == 2
    with (tmp_path / "model" / "log.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_chips_that_memory_holds_are_read_once_and_trained_on_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = make_chips(tmp_path / "chips", train=4, val=1)
    read: list[str] = []

    def counted(chip: ChipFile, positions: ClassPositions) -> object:
        read.append(chip.title)
        return read_chip(chip, positions)

    monkeypatch.setattr(batches, "read_chip", counted)
    train_small(chips, tmp_path / "held", epochs=4)
    assert len(read) == 5
    monkeypatch.setattr(run, "BYTES_HELD", 0)
    train_small(chips, tmp_path / "not-held", epochs=4)
    # Six chips fill the batches of an epoch, and one validates.
    assert len(read) == 5 + 4 * (6 + 1)
    one, other = (
        (tmp_path / name / "weights.safetensors").read_bytes() for name in ("held", "not-held")
    )
    assert one == other


def test_curves_of_short_epochs_are_drawn_once_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = make_chips(tmp_path / "chips", train=3, val=1)
    drawn: list[None] = []
    draw = history.write_learning_curves
    monkeypatch.setattr(loop, "write_learning_curves", lambda *given: drawn.append(draw(*given)))
    train_small(chips, tmp_path / "model", epochs=5, patience=0)
    assert len(drawn) == 1
    assert (tmp_path / "model" / "curves.png").exists()


def test_the_best_epoch_is_kept_and_training_stops_after_it(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=3)
    model = train_small(chips, tmp_path / "model", epochs=40, patience=2)
    with (tmp_path / "model" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    iou = [float(row["mean_iou"]) for row in rows]
    best = int(np.argmax(iou)) + 1
    assert model.figures.best_epoch == best
    assert model.figures.epochs == len(rows) == best + 2
    assert model.figures.mean_iou == pytest.approx(max(iou), rel=1e-5)
    assert sorted(path.name for path in (tmp_path / "model").iterdir())[:4] == [
        "README.md",
        "curves.png",
        "log.csv",
        "model.json",
    ]


def test_the_last_epoch_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=3, val=1)
    for path in (chips / "ann_dir" / "val").iterdir():
        # A class that no chip trains: each epoch is as bad as the first.
        write_mask(chips, "val", path.stem, np.full((SIDE, SIDE), 15, np.uint8))
    kept = [
        train_small(chips, tmp_path / keep, epochs=3, patience=0, keep=keep).figures.best_epoch
        for keep in ("best", "last")
    ]
    assert kept == [1, 3]


def test_every_step_is_told_with_all_that_are_to_come(tmp_path: Path) -> None:
    heard: list[Event] = []
    chips = make_chips(tmp_path / "chips")
    train_small(chips, tmp_path / "model", listen=heard.append)
    steps = [event for event in heard if event.stage == "train"]
    assert [event.computed for event in steps] == [1, 2, 3, 4]
    assert {event.tiles for event in steps} == {4}
    assert any("random weights" in event.note for event in heard)


def test_the_folder_of_another_training_is_not_touched(tmp_path: Path) -> None:
    chips, out = make_chips(tmp_path / "chips", train=3), tmp_path / "model"
    train_small(chips, out, epochs=1)
    before = (out / "weights.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"holds a trained model; --overwrite replaces it"):
        train_small(chips, out, epochs=1)
    with pytest.raises(RunError, match=r"a training with epochs 1, not 2"):
        train_small(chips, out, epochs=2, resume=True)
    with pytest.raises(RunError, match=r"a training with arch linknet, not fpn"):
        train_small(chips, out, epochs=1, arch="fpn", resume=True)
    assert train_small(chips, out, epochs=1, resume=True) == read_model(out)
    assert (out / "weights.safetensors").read_bytes() == before
    (out / "notes.txt").write_text("mine")
    train_small(chips, out, epochs=1, seed=1, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert not [*out.glob("best*"), *out.glob("checkpoint*")]
    assert (out / "weights.safetensors").read_bytes() != before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.docx").touch()
    with pytest.raises(RunError, match="holds no training of alps-geo"):
        train_small(chips, tmp_path / "other", overwrite=True)


def test_one_chip_for_each_step_is_refused_where_batches_are_normalised(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=3)
    with pytest.raises(SettingsError, match="give a --batch-size of 2 or more"):
        train_small(chips, tmp_path / "model", batch_size=1)


def test_a_single_chip_fills_a_batch(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=1, val=1)
    assert train_small(chips, tmp_path / "model", epochs=1, batch_size=4).data.train == 1


@pytest.mark.parametrize("loss", ["dice", "focal", "ce+dice"])
def test_all_losses_train(tmp_path: Path, loss: str) -> None:
    chips = make_chips(tmp_path / "chips", train=3)
    model = train_small(chips, tmp_path / "model", epochs=1, loss=loss, precision="bf16")
    assert np.isfinite(model.figures.loss)


def test_a_loss_that_is_no_number_ends_training_and_the_good_weights_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alps_geo.training.losses import PixelLoss

    chips, forward, calls = make_chips(tmp_path / "chips"), PixelLoss.forward, []

    def fails_in_the_second_epoch(
        self: PixelLoss, logits: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        calls.append(logits.requires_grad)
        found = forward(self, logits, labels)
        return found * float("nan") if sum(calls) > 2 and logits.requires_grad else found

    monkeypatch.setattr(PixelLoss, "forward", fails_in_the_second_epoch)
    with pytest.raises(ModelError, match=r"loss is nan in epoch 2, step 1; .* epoch 1 are kept"):
        train_small(chips, tmp_path / "model", epochs=2, warmup=0.0)
    model = read_model(tmp_path / "model")
    assert model.figures.epochs == 1
    weights = read_weights(tmp_path / "model", model)
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_an_infinite_loss_of_validation_ends_training_and_the_good_weights_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alps_geo.training.losses import PixelLoss

    chips, forward, validations = make_chips(tmp_path / "chips"), PixelLoss.forward, []

    def overflows_in_the_second_validation(
        self: PixelLoss, logits: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        found = forward(self, logits, labels)
        if logits.requires_grad:
            validations.append(False)
        elif not validations or not validations[-1]:
            validations.append(True)
        return found * float("inf") if sum(validations) > 1 else found

    monkeypatch.setattr(PixelLoss, "forward", overflows_in_the_second_validation)
    with pytest.raises(
        ModelError,
        match=r"loss of the validation chips is inf in epoch 2, after its last step; .* epoch 1",
    ):
        train_small(chips, tmp_path / "model", epochs=3, warmup=0.0)
    assert read_model(tmp_path / "model").figures.epochs == 1


def test_memory_that_does_not_suffice_halves_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alps_geo.training import segmentation_models_pytorch as library

    make = library.make_network

    def small_memory(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if module.training and len(given[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def network(*given: object) -> torch.nn.Module:
        made = make(*given)  # type: ignore[arg-type]
        made.register_forward_pre_hook(small_memory)
        return made

    monkeypatch.setattr(library, "make_network", network)
    heard: list[Event] = []
    chips = make_chips(tmp_path / "chips", train=8)
    train_small(chips, tmp_path / "model", epochs=1, batch_size=8, listen=heard.append)
    notes = [event.note for event in heard if "memory" in event.note]
    assert ["in parts of 4" in notes[0], "in parts of 2" in notes[1], len(notes)] == [True, True, 2]
    with pytest.raises(ModelError, match="give a smaller --batch-size"):
        train_small(chips, tmp_path / "other", epochs=1, batch_size=3)


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alps_geo.training.checkpoint import save_checkpoint

    chips, calls = make_chips(tmp_path / "chips"), list[object]()

    def full(*given: object) -> None:
        calls.append(given)
        if len(calls) == 3:
            monkeypatch.setattr("pathlib.Path.write_bytes", _no_room)
        save_checkpoint(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("alps_geo.training.loop.save_checkpoint", full)
    with pytest.raises(RunError, match="No space left on device"):
        train_small(chips, tmp_path / "model")
    monkeypatch.undo()
    train_small(chips, tmp_path / "model", resume=True)
    train_small(chips, tmp_path / "whole")
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


def _no_room(self: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_events_are_written_where_tensorboard_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            self.file = Path(folder) / "events.out"
            self.file.parent.mkdir(parents=True, exist_ok=True)

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            written.append((name, value, epoch))

        def flush(self) -> None:
            self.file.write_text("events")

        def close(self) -> None:
            pass

    module = SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    model = train_small(make_chips(tmp_path / "chips", train=3), tmp_path / "model")
    found = {epoch: value for name, value, epoch in written if name == "mean_iou"}
    assert found[model.figures.best_epoch] == model.figures.mean_iou
    assert {*found} == {1, 2}
    assert (tmp_path / "model" / "tensorboard" / "events.out").read_text() == "events"
