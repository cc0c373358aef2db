"""A training that was killed goes on as if it had not been, wherever it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_chips import make_chips, train_small

from alps_geo.errors import ModelError, RunError
from alps_geo.training import loop
from alps_geo.training.checkpoint import CHECKPOINT
from alps_geo.training.model_folder import read_model

KILLING = """
import os, random, signal, sys
from pathlib import Path
from training_chips import train_small

chips, out, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
draw, killed = random.Random(7), 0
for _ in range(kills):
    moment, child = draw.uniform(0.1, 0.7), os.fork()
    if child == 0:
        # The kernel ends it at that time, however late others are woken on a busy machine.
        signal.setitimer(signal.ITIMER_PROF, moment)
        train_small(chips, out, epochs=20, patience=0, resume=True)
        os._exit(0)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
train_small(chips, out, epochs=20, patience=0, resume=True)
print(killed)
"""
"""Program that kills a training as often as its last argument says, after random CPU time."""


def test_killed_at_random_moments_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips")
    train_small(chips, tmp_path / "whole", epochs=20, patience=0)
    found = subprocess.run(
        [sys.executable, "-c", KILLING, str(chips), str(tmp_path / "model"), "10"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) >= 5  # a fast machine ends before the last
    one, other = ((tmp_path / name / "weights.safetensors") for name in ("whole", "model"))
    assert one.read_bytes() == other.read_bytes()
    first, second = read_model(tmp_path / "whole"), read_model(tmp_path / "model")
    assert first.figures.mean_iou == second.figures.mean_iou
    assert first.data == second.data


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("write", range(5))
def test_stopped_around_each_write_it_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    """Stops between the files of best weights, checkpoint and log, where they could disagree."""
    chips = make_chips(tmp_path / "chips")
    train_small(chips, tmp_path / "whole", checkpoint_minutes=1000.0)
    names, calls = ("save_best", "save_checkpoint", "write_log"), list[int]()
    for name in names:
        monkeypatch.setattr(loop, name, _stopping(getattr(loop, name), calls, write))
    with pytest.raises(_StoppedError):
        train_small(chips, tmp_path / "model", checkpoint_minutes=1000.0)
    monkeypatch.undo()
    if (tmp_path / "model" / CHECKPOINT).exists():  # else nothing can be lost
        with pytest.raises(RunError, match="holds a training that was stopped; --resume goes on"):
            train_small(chips, tmp_path / "model", checkpoint_minutes=1000.0)
    train_small(chips, tmp_path / "model", checkpoint_minutes=0.0, resume=True)
    one, other = ((tmp_path / name / "weights.safetensors") for name in ("whole", "model"))
    assert one.read_bytes() == other.read_bytes()


def _stopping(function: object, calls: list[int], after: int) -> object:
    def stop(*given: object) -> None:
        function(*given)  # type: ignore[operator]
        calls.append(1)
        if len(calls) == after + 1:
            raise _StoppedError

    return stop


def test_stopped_while_the_model_takes_its_place_it_is_put_back(tmp_path: Path) -> None:
    chips = make_chips(tmp_path / "chips", train=3)
    model = train_small(chips, tmp_path / "model", epochs=1)
    (tmp_path / "model").rename(tmp_path / ".model.replaced")
    assert train_small(chips, tmp_path / "model", epochs=1, resume=True) == model


def test_a_damaged_checkpoint_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = make_chips(tmp_path / "chips", train=3)
    monkeypatch.setattr(loop, "write_log", _stopping(lambda *_: None, [], 0))
    with pytest.raises(_StoppedError):
        train_small(chips, tmp_path / "model")
    path = tmp_path / "model" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"is absent or damaged .*begin again with --overwrite"):
        train_small(chips, tmp_path / "model", resume=True)


def test_chips_that_changed_are_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = make_chips(tmp_path / "chips", train=3)
    monkeypatch.setattr(loop, "write_log", _stopping(lambda *_: None, [], 0))
    with pytest.raises(_StoppedError):
        train_small(chips, tmp_path / "model")
    make_chips(chips, train=4)
    with pytest.raises(RunError, match="holds a training with other chips, masks or classes"):
        train_small(chips, tmp_path / "model", resume=True)


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    from filelock import FileLock

    chips = make_chips(tmp_path / "chips", train=3)
    with (
        FileLock(tmp_path / ".model.lock"),
        pytest.raises(RunError, match="another process is training"),
    ):
        train_small(chips, tmp_path / "model")


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    chips, script = make_chips(tmp_path / "chips", train=4), tmp_path / "run.py"
    script.write_text("from alps_geo_cli.main import run\nrun()\n")
    options = (
        *("--arch", "linknet", "--encoder", "tu-test_resnet", "--weights", "random", "--json"),
        *("--epochs", "2", "--batch-size", "4", "--device", "cpu"),
    )
    found = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(script), "train", "pretrain", str(chips)),
            *("--out", str(tmp_path / "model"), *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    model = read_model(tmp_path / "model")
    assert model.figures.device == "2 x cpu"
    assert model.figures.epochs == 2
    assert found.stdout.count('"kind": "alps-geo trained model"') == 1
