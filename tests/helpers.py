"""Functions that several test files call."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from weakref import finalize

import numpy as np
import pytest
from typer.testing import CliRunner

from alps_geo.features.columns import ColumnSchema
from alps_geo.features.embeddings import Embeddings
from alps_geo.features.images import BandScale
from alps_geo.features.sums import RegionSums
from alps_geo.sam.frame import Frame
from alps_geo.segments.core_sums import Source
from alps_geo.segments.painting import StoredPainting, painted_blocks
from alps_geo.segments.pooling import sum_segments
from alps_geo.segments.stitch import stitch
from alps_geo_cli.main import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.grid import Tile, TileGrid
    from alps_geo.scene import TilePixels
    from alps_geo.segments.fragments import Fragments
    from alps_geo.segments.paint import Load
    from alps_geo.segments.stitch import Stitched

DATA = Path(__file__).parent / "data"

EMBEDDINGS = Embeddings(np.ones((256, 4, 4), np.float16), np.zeros((0, 0, 0), np.float32))
"""Embeddings of a tile, for tests of its outlines."""

FULL_DISK = """
import resource, signal, sys
from alps_geo_cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
run()
"""
"""Program that runs ours where no file can grow beyond a number of bytes, its first argument."""


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    exit_code: int
    stdout: str
    stderr: str


def alps_geo(*arguments: object) -> Outcome:
    """Run the program in this process; an exception that it lets through is a failure."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def cell_size(shape: tuple[int, int]) -> tuple[float, float]:
    """Cell size of SAM's embedding of a tile."""
    return Frame(*shape).cell_size


def stitched(
    grid: TileGrid, load: Load, *, min_area: int = 1, superpixel_size: int | None = None
) -> Stitched:
    """Stitch tiles; the painting lasts as long as what is returned."""
    folder = Path(mkdtemp())
    painting = StoredPainting(folder)
    found = stitch(grid, load, painting, min_area=min_area, superpixel_size=superpixel_size)
    finalize(found, rmtree, folder)
    return found


def painted(grid: TileGrid, found: Stitched) -> NDArray[np.uint32]:
    """Put the cores together, each pixel given once."""
    result = np.zeros((grid.height, grid.width), dtype=np.uint32)
    for window, block in painted_blocks(found.painting, grid):
        result[window.toslices()] += block
    return result


def sums_by_id(
    grid: TileGrid,
    found: Stitched,
    tiles: Mapping[Tile, Fragments],
    read: Callable[[Window], TilePixels],
    features: tuple[str, ...] = ("sam", "shape"),
) -> RegionSums:
    """Sums of all segments, in the order of their ids."""
    bands = len(read(grid[0, 0].core).bands)
    source = Source(
        embeddings=lambda tile: tiles[tile].embeddings,
        read=read,
        scale=BandScale(np.zeros(bands), np.ones(bands)),
        views=grid,
        cell_size=cell_size,
    )
    schema = ColumnSchema(tuple(f"band_{i}" for i in range(bands)), "float32", features)
    batches = list(sum_segments(grid, found, source, schema))
    ids = np.concatenate([np.empty(0, int), *(batch.ids for batch in batches)])
    np.testing.assert_array_equal(np.sort(ids), np.arange(1, len(found) + 1))
    sums = [schema.no_segments(), *(batch.sums for batch in batches)]
    return RegionSums.concatenate(sums).take(np.argsort(ids))


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond some bytes: writing fails as it does on a full disk."""
    resource = pytest.importorskip("resource", reason="limits on files are POSIX only")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
