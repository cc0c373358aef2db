"""Runs whose tiles are shared out over processes, with a mask generator that needs no model."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from helpers import DATA
from quarter_tiles import QuarterTiles
from rasterio.windows import Window

from alps_geo.pipeline.scenes import label_scenes
from alps_geo.pipeline.tile_shares import ShareRequest, label_share
from alps_geo.settings import LabelSettings
from alps_geo.tiles.shares import Share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alps_geo.masks.generator import TileImage
    from alps_geo.pipeline.tile_shares import ShareProgress
    from alps_geo.runs.record import RunRecord

SETTINGS = LabelSettings(tile_size=64, overlap=8, clusters=3, features="spectral", fill="none")
SIDE = 256
TILES = 25
LONG = 600.0
"""Seconds that a busy machine may take for anything."""


@dataclass(frozen=True)
class SlowQuarters(QuarterTiles):
    """Quarters of tiles, after a while.

    Attributes
    ----------
    hold : str
        A file; as long as it is there, tiles but the first two take longer still.
    """

    hold: str = ""

    def encode(self, images: Sequence[TileImage]) -> list[NDArray[Any]]:
        """Wait, and encode."""
        time.sleep(0.1 * len(images))
        window = images[0].window
        if self.hold and (window.row_off or window.col_off > SETTINGS.tile_size):
            wait_for(lambda: not Path(self.hold).exists())
        return super().encode(images)


def make_scene(folder: Path) -> Path:
    """Write a corner of a real scene: five rows of five tiles."""
    path = folder / "corner.tif"
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        profile = source.profile | {"width": SIDE, "height": SIDE}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=Window(0, 0, SIDE, SIDE)))
    return path


def share(
    scene: Path, out: Path, number: int = 1, count: int = 1, workers: int = 1
) -> ShareProgress:
    """Work on a share in this process, or in some of its own."""
    request, settings = ShareRequest(Share(number, count)), replace(SETTINGS, workers=workers)
    return label_share([str(scene)], out, settings, request, generator=QuarterTiles())


def finish(scene: Path, out: Path) -> RunRecord:
    """Finish a run in this process."""
    return label_scenes([str(scene)], out, SETTINGS, generator=QuarterTiles())


PROGRAM = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from share_runs import SETTINGS, SlowQuarters
from alps_geo.errors import AlpsGeoError
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.pipeline.tile_shares import ShareRequest, label_share
from alps_geo.tiles.shares import Share
scene, out, number, count, hold = sys.argv[1:]
try:
    if int(count):
        request = ShareRequest(Share(int(number), int(count)))
        label_share([scene], Path(out), SETTINGS, request, generator=SlowQuarters())
    else:
        label_scenes([scene], Path(out), SETTINGS, generator=SlowQuarters(hold=hold))
except AlpsGeoError as error:
    sys.exit(str(error))
"""


def started(
    scene: Path, out: Path, number: int, count: int, hold: Path | None = None
) -> subprocess.Popen[str]:
    """Start a process that works slowly on a share, or, with a count of 0, finishes the run.

    The latter waits as long as there is a file to hold it, if one is given.
    """
    arguments = [str(scene), str(out), str(number), str(count), str(hold or "")]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tile_files(out: Path) -> list[Path]:
    """List the tiles that are done."""
    return sorted(out.glob(".tiles/*/*.outlines.npz"))


def contents(folder: Path) -> dict[str, bytes]:
    """All that lies in a run folder, apart from the record, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.name != "run.json" else b""
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_same(out: Path, undisturbed: Path) -> None:
    """Check that two run folders hold the same bytes."""
    found, expected = contents(out), contents(undisturbed)
    assert found.keys() == expected.keys()
    different = [name for name in found if found[name] != expected[name]]
    assert different == []
