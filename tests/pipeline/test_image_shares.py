"""Images of a folder whose work is shared out, to the bytes of one process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from helpers import alps_geo
from image_folders import files, label, make_root
from quarter_tiles import QuarterTiles

from alps_geo.errors import RunError
from alps_geo.pipeline.image_shares import label_image_share
from alps_geo.pipeline.tile_shares import ShareRequest
from alps_geo.runs.status import run_status
from alps_geo.settings import LabelSettings
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.pipeline.tile_shares import ShareProgress

SETTINGS = LabelSettings(clusters=3, fill="none")


def share(root: Path, out: Path, number: int, settings: LabelSettings = SETTINGS) -> ShareProgress:
    request = ShareRequest(Share(number, 2))
    return label_image_share(root, out, settings, request=request, generator=QuarterTiles())


def test_shares_make_the_same_masks(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    label(root, tmp_path / "alone")
    first = share(root, tmp_path / "shared", 1)
    assert (first.tiles, first.failed) == (6, ())
    assert 0 < first.left < 6
    with pytest.raises(RunError, match="holds another run"):
        share(root, tmp_path / "shared", 1, LabelSettings(clusters=4, fill="none"))
    assert share(root, tmp_path / "shared", 2).left == 0
    assert run_status(tmp_path / "shared").state == "stopped"
    label(root, tmp_path / "shared")
    assert files(tmp_path / "shared") == files(tmp_path / "alone")


def test_an_image_that_cannot_be_read_is_left_to_the_end(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    (root / "img_dir" / "val" / "chip.1.png").write_text("none")
    for number in (1, 2):
        done = share(root, tmp_path / "out", number)
    assert (done.tiles, done.left, done.failed) == (6, 1, ())
    assert len(label(root, tmp_path / "out").failed) == 1


@pytest.mark.usefixtures("images_encoded_once")
def test_the_command_counts_images(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", 1, 1)
    command = ("dataset", "label", root, "--points", "none", "--only", "tiles", "--shard", "1/1")
    outcome = alps_geo(*command)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.startswith("2 of 2 images are done; the same command without")
    assert json.loads(alps_geo(*command, "--json").stdout)["left"] == 0
    assert not (root / "run.json").exists()
    assert not list(root.rglob("*.log"))
