"""Estimate of the time, disk and memory of a run, measured on a few tiles of its largest scene."""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio
from affine import Affine
from rasterio.windows import Window

from alps_geo.errors import SceneError
from alps_geo.features.kinds import in_one_order
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.grid import TileGrid
from alps_geo.masks.machine import machine_of
from alps_geo.pipeline.scene_plan import open_scenes
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.runs.folder import RunFolder
from alps_geo.scene import read_tile
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from alps_geo.events import Event
    from alps_geo.grid import Tile
    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings

_TRIES = 25
"""Tiles that are looked at, to find one with data."""


@dataclass(frozen=True)
class RunEstimate:
    """Estimate of a run, as if all of its tiles held data.

    Attributes
    ----------
    scenes, pixels, tiles : int
        Numbers of the run.
    machine : str
        Device and torch that it was measured on.
    measured : int
        Number of tiles that it was measured on.
    tile_seconds, tile_bytes : float
        Time of a tile, and size of its stored files.
    finish_seconds, result_bytes : float
        Time of stitching, describing, clustering and writing for each tile, in one process, and
        size of segments and results for each tile.
    memory_bytes : int or None
        Peak memory of the process that measured; None on systems that do not tell.
    """

    scenes: int
    pixels: int
    tiles: int
    machine: str
    measured: int
    tile_seconds: float
    tile_bytes: float
    finish_seconds: float
    result_bytes: float
    memory_bytes: int | None

    @property
    def all_tile_seconds(self) -> float:
        """Time of all tiles, one after the other on one device."""
        return self.tiles * self.tile_seconds

    @property
    def all_finish_seconds(self) -> float:
        """Time of all that follows the tiles, in one process."""
        return self.tiles * self.finish_seconds

    def machines(self, seconds: float) -> int | None:
        """Return the number of devices that finish a run in a time; None if none can.

        >>> estimate = RunEstimate(1, 10**8, 100, "cpu", 2, 36.0, 2e6, 3.6, 1e6, None)
        >>> estimate.machines(3600)
        2
        """
        left = seconds - self.all_finish_seconds
        if left < self.tile_seconds:
            return None
        return math.ceil(self.tiles / (left // self.tile_seconds))

    def to_json(self) -> dict[str, object]:
        """Return the estimate as a JSON object."""
        return {
            "scenes": self.scenes,
            "pixels": self.pixels,
            "tiles": self.tiles,
            "machine": self.machine,
            "measured_tiles": self.measured,
            "seconds": {
                "tile": round(self.tile_seconds, 3),
                "all_tiles": round(self.all_tile_seconds, 1),
                "afterwards": round(self.all_finish_seconds, 1),
            },
            "bytes": {
                "tiles": round(self.tiles * self.tile_bytes),
                "results": round(self.tiles * self.result_bytes),
            },
            "memory_bytes": self.memory_bytes,
        }


def estimate_run(
    paths: Sequence[str],
    settings: LabelSettings,
    measure: int = 2,
    *,
    generator: MaskGenerator | None = None,
    listen: Callable[[Event], None] = lambda _: None,
) -> RunEstimate:
    """Estimate a run from a few neighbouring tiles of its largest scene, which are labelled.

    Parameters
    ----------
    paths, settings, generator, listen
        As for `alps_geo.pipeline.scenes.label_scenes`.
    measure : int
        Number of tiles to measure on.

    Raises
    ------
    AlpsGeoError
        If a scene or a model cannot be used, or no tile with data is found.
    """
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        scenes = in_one_order(open_scenes(paths, settings), ())
        grids = [_grid(scene, settings) for scene in scenes]
        largest = max(range(len(scenes)), key=lambda index: len(grids[index]))
        window = _window_with_data(scenes[largest], grids[largest], measure)
        seconds: list[float] = []

        def hear(event: Event) -> None:
            if event.tile is not None and event.tile.seconds is not None:
                seconds.append(event.tile.seconds)
            listen(event)

        with tempfile.TemporaryDirectory() as name:
            # Notes on the copy are those on the scene.
            crop = Path(name) / "crop" / f"{scenes[largest].name}.tif"
            crop.parent.mkdir()
            folder = RunFolder(Path(name) / "run")
            _write_crop(scenes[largest].path, window, crop)
            # The crop may have too few segments for the clusters of the run.
            alone = replace(settings, clusters=None, workers=1, dask=None)
            record = label_scenes([str(crop)], folder.path, alone, generator=generator, listen=hear)
            tiles = _size(folder.tiles_path.glob("*/*_*.npz"))
            everything = _size(folder.path.rglob("*"))
        after = sum(record.seconds[stage] for stage in ("stitch", "cluster", "write"))
        return RunEstimate(
            scenes=len(scenes),
            pixels=sum(scene.height * scene.width for scene in scenes),
            tiles=sum(map(len, grids)),
            machine=machine_of(settings.device),
            measured=len(seconds),
            tile_seconds=sum(seconds) / len(seconds),
            tile_bytes=tiles / len(seconds),
            finish_seconds=after / len(seconds),
            result_bytes=(everything - tiles) / len(seconds),
            memory_bytes=_peak_memory(),
        )


def _grid(scene: Scene, settings: LabelSettings) -> TileGrid:
    return TileGrid(scene.height, scene.width, settings.tile_sizes[0], settings.tile_overlap)


def _window_with_data(scene: Scene, grid: TileGrid, count: int) -> Window:
    """Find neighbouring tiles of which the first holds data, near the middle of a scene.

    Raises
    ------
    SceneError
        If no tile with data is found.
    """
    rows, cols = max(tile.row for tile in grid), max(tile.col for tile in grid)

    def distance(tile: Tile) -> float:
        return math.hypot(tile.row - rows / 2, tile.col - cols / 2)

    for tile in sorted(grid, key=distance)[:_TRIES]:
        if read_tile(scene, tile.window).valid.mean() > 0.5:
            last = grid[tile.row, min(cols, tile.col + count - 1)].window
            width = last.col_off + last.width - tile.window.col_off
            return Window(tile.window.col_off, tile.window.row_off, width, tile.window.height)
    raise SceneError(
        f"{scene.path}: {min(_TRIES, len(grid))} tiles in the middle hold no data or little, so "
        "nothing can be measured; give a scene with data there"
    )


def _write_crop(path: str, window: Window, crop: Path) -> None:
    """Copy a window of a raster with all that decides how it is read."""
    with opened(path) as source:
        profile = {
            "driver": "GTiff",
            "width": window.width,
            "height": window.height,
            "count": source.count,
            "dtype": source.dtypes[0],
            "crs": source.crs,
            # Not `window_transform`, which multiplies in a way that affine warns of.
            "transform": source.transform @ Affine.translation(window.col_off, window.row_off),
            "nodata": source.nodata,
        }
        with rasterio.open(crop, "w", **profile) as target:
            target.write(source.read(window=window))
            target.colorinterp = source.colorinterp
            target.descriptions = source.descriptions
            target.scales, target.offsets = source.scales, source.offsets


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
