"""`alps-geo evaluate quality` on folders of masks, as it is typed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from evaluate_rasters import LANDCOVER, kmeans_labels, read_ids
from helpers import alps_geo
from image_folders import SIDE, label, make_root, save
from PIL import Image
from quarter_tiles import QuarterTiles
from run_folders import RECORD

from alps_geo.masks.tile_masks import TileMasks
from alps_geo.runs.parts import FolderRecord
from alps_geo.runs.record import write_record
from alps_geo.settings.folder import FolderSettings

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.masks.generator import TileImage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with 256 px masks of the NAIP scene, and their truth."""
    for name, ids, ending in (
        ("instance_mask", kmeans_labels(), "_instance_color"),
        ("truth", read_ids(LANDCOVER), ""),
    ):
        (tmp_path / name / "train").mkdir(parents=True)
        for number in range(4):
            chip = ids[number * 256 :, 256 * number :][:256, :256]
            Image.fromarray(chip).save(tmp_path / name / "train" / f"{number}{ending}.png")
    return tmp_path


def note_run(root: Path, *, zero_based: bool) -> None:
    """Write the record of a run that has written the masks."""
    written = FolderRecord(str(root), FolderSettings(zero_based=zero_based))
    write_record(root / "run.json", replace(RECORD, folder=written))


def evaluate(masks: Path, root: Path, *options: object) -> tuple[int, str, str]:
    truth = root / "truth" / masks.relative_to(root / "instance_mask")
    found = alps_geo("evaluate", "quality", masks, "--truth", truth, *options)
    return found.exit_code, found.stdout, found.stderr


@pytest.mark.parametrize("split", ["", "train"])
def test_results_lie_in_the_run_folder_of_the_masks(root: Path, split: str) -> None:
    note_run(root, zero_based=False)
    (root / "truth" / "train" / "more.png").write_bytes(
        (root / "truth" / "train" / "0.png").read_bytes()
    )
    code, stdout, stderr = evaluate(root / "instance_mask" / split, root)
    assert code == 0, stderr
    record = json.loads((root / "quality.json").read_text())
    assert record["pixels"] == 4 * 256**2
    assert f"{record['majority']['mean_iou']:.3f}" in stdout
    assert "of 262,144 pixels with truth in 4 images" in stdout
    assert "note: files of truth that have no mask and do not count: 1, such as" in stderr
    assert (root / "quality.png").exists()


def test_the_record_tells_where_ids_begin(root: Path) -> None:
    masks = root / "instance_mask"
    note_run(root, zero_based=False)
    expected = json.loads(evaluate(masks, root, "--json")[1])
    for path in (masks / "train").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(ids - np.uint8(1)).save(path)
    note_run(root, zero_based=True)
    assert json.loads(evaluate(masks, root, "--json")[1]) == expected
    # From 1 the first cluster is taken for unlabelled.
    other = json.loads(evaluate(masks, root, "--json", "--one-based")[1])
    assert other["coverage"] < 1
    (root / "run.json").unlink()
    typed = evaluate(masks, root, "--json", "--zero-based", "--out", root / "out")
    assert json.loads(typed[1]) == expected


def test_masks_of_another_program_need_a_folder_for_the_results(root: Path) -> None:
    code, stdout, stderr = evaluate(root / "instance_mask", root)
    assert (code, stdout) == (2, "")
    assert "--out" in stderr
    assert not (root / "quality.json").exists()


@pytest.mark.parametrize(
    ("labels", "truth", "options", "code", "message"),
    [
        ("instance_mask", "absent", [], 1, "absent does not exist, while instance_mask"),
        ("instance_mask", "truth/train/0.png", [], 1, "is no folder, while instance_mask"),
        ("truth/train/0.png", "truth", [], 1, "truth is a folder, while truth/train/0.png"),
        ("instance_mask", "truth", ["--segments", "s.tif"], 2, "--segments is 's.tif'"),
        ("instance_mask", "truth", ["--field", "a"], 2, "--field is 'a', but truth is a folder"),
        ("instance_mask", "truth", ["--ignore", "a"], 2, "--ignore is 'a'"),
        ("instance_mask", "truth", ["--truth-ending", "_x"], 1, "none of its files belongs"),
        ("truth/train/0.png", "truth/train/0.png", ["--truth-ending", "_x"], 2, "--truth-ending"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    labels: str,
    truth: str,
    options: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(root)
    found = alps_geo("evaluate", "quality", labels, "--truth", truth, "--out", "out", *options)
    assert (found.exit_code, found.stdout) == (code, "")
    (line,) = found.stderr.splitlines()
    assert message in line


@dataclass(frozen=True)
class TwoQuarters(QuarterTiles):
    """The upper quarters of an image; half of it is in no mask."""

    def masks(self, image: TileImage, encoded: Any, points: Any) -> TileMasks:
        """Return the first two quarters."""
        found = super().masks(image, encoded, points)
        bits = [np.packbits(found.mask(index)) for index in range(2)]
        return TileMasks.of(found.shape, found.bbox[:2], bits, [0.9] * 2, [0.8] * 2)


@pytest.mark.parametrize(
    "layout",
    [
        {"zero_based": True},
        {"zero_based": True, "mask_dir": "ids", "mask_ending": "_seg.v2"},
    ],
)
def test_a_run_tells_where_its_ids_begin_and_how_its_masks_are_called(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    images = make_root(tmp_path / "images", train=3, val=1)
    for path in images.rglob("*.png"):
        classes = np.repeat([[1, 2]], SIDE, axis=0).repeat(SIDE // 2, axis=1)
        save(tmp_path / "truth" / path.relative_to(images / "img_dir"), classes.astype(np.uint8))
    found = []
    for run, each in (("from_1", {}), ("from_0", layout)):
        label(images, tmp_path / run, generator=TwoQuarters(), **each)
        masks = tmp_path / run / each.get("mask_dir", "instance_mask")
        for split in ("", "val"):
            truth = tmp_path / "truth" / split
            outcome = alps_geo("evaluate", "quality", masks / split, "--truth", truth, "--json")
            assert outcome.exit_code == 0, outcome.stderr
            found.append(json.loads(outcome.stdout))
            assert (tmp_path / run / "quality.json").exists()
    assert [each["coverage"] for each in found] == [0.5] * 4
    assert [each["clusters"] for each in found[:2]] == [each["clusters"] for each in found[2:]]
    assert [each["majority"] for each in found[:2]] == [each["majority"] for each in found[2:]]


def test_only_the_folder_of_the_masks_is_the_runs_own(root: Path) -> None:
    note_run(root, zero_based=True)
    (root / "instance_mask").rename(root / "other")
    found = alps_geo("evaluate", "quality", root / "other", "--truth", root / "truth")
    assert found.exit_code == 2
    assert "no run of alps-geo has written the masks of" in found.stderr.replace("\n", " ")
