"""Painted cores of a scene on disk: painted once, and read as often as they are needed.

::

    painted/00000.npy.gz    the cores of a block: the arrays of each, one .npy after the other
    ids.npy                 the segment of each group of fragments

They are of use to the run alone that has painted them, and are removed when the run ends. Those
that a killed run left are cleared with all its segments by the next.
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from dataclasses import dataclass, fields, replace
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.lib import format as npy

from alps_geo.errors import RunError
from alps_geo.files import put_bytes, replacing, run_errors
from alps_geo.segments.blocks import tile_blocks
from alps_geo.segments.paint import PaintedCore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.grid import TileGrid
    from alps_geo.segments.blocks import TileBlock

_CORES, _IDS = "painted", "ids.npy"


class Painting(Protocol):
    """The painted cores of one scene: written once, and read as often as they are needed."""

    def write(self, block: TileBlock, cores: Iterable[PaintedCore]) -> None:
        """Write the cores of a block, in the order of its tiles; their ids are of groups."""
        ...

    def assign(self, ids: NDArray[np.uint32]) -> None:
        """Assign segments, or 0 for none, to the groups, which count from 0 for no group."""
        ...

    def join(self, ids: NDArray[np.uint32]) -> None:
        """Assign other segments, or 0 for none, to those that are assigned, from 0 for none."""
        ...

    def cores(self, block: TileBlock) -> Iterator[PaintedCore]:
        """Read the cores of a block in the order of its tiles; their ids are those of segments."""
        ...


class MemoryPainting:
    """Painted cores in memory: those of an image of a few tiles; see `Painting`."""

    def __init__(self) -> None:
        self._cores: dict[int, list[PaintedCore]] = {}
        self._ids = np.zeros(1, dtype=np.uint32)

    def write(self, block: TileBlock, cores: Iterable[PaintedCore]) -> None:
        """Keep the cores of a block."""
        self._cores[block.index] = list(cores)

    def assign(self, ids: NDArray[np.uint32]) -> None:
        """Assign segments to the groups of the cores."""
        self._ids = ids

    def join(self, ids: NDArray[np.uint32]) -> None:
        """Assign other segments to those that are assigned."""
        self._ids = ids[self._ids]

    def cores(self, block: TileBlock) -> Iterator[PaintedCore]:
        """Return the cores of a block; their ids are those of segments."""
        return (replace(core, ids=self._ids[core.ids]) for core in self._cores[block.index])


def painted_blocks(
    painting: Painting, grid: TileGrid
) -> Iterator[tuple[Window, NDArray[np.uint32]]]:
    """Read the segment ids of a scene, one core after the other.

    Parameters
    ----------
    painting : Painting
        The painted cores.
    grid : TileGrid
        The scene's tiles.

    Yields
    ------
    window : rasterio.windows.Window
        A core, in scene pixels.
    block : ndarray of uint32
        The ids of its pixels; 0 for none.

    Raises
    ------
    RunError
        If they are absent or damaged.
    """
    for block in tile_blocks(grid):
        for tile, core in zip(block.tiles, painting.cores(block), strict=True):
            yield tile.core, core.ids[core.number]


@dataclass(frozen=True)
class StoredPainting:
    """Painted cores stored in a folder; see `Painting`. Any process can be given it.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the files; made if need be.
    """

    folder: Path

    def write(self, block: TileBlock, cores: Iterable[PaintedCore]) -> None:
        """Write the cores of a block, all of them or none; their ids are those of groups.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        path, content = self._path(block), BytesIO()
        with (
            run_errors(path),
            gzip.GzipFile(fileobj=content, mode="wb", compresslevel=1, mtime=0) as file,
        ):
            for core in cores:
                for field in fields(core):
                    npy.write_array(file, getattr(core, field.name), allow_pickle=False)
        # A worker that was cut off may write the same block at the same moment.
        put_bytes(path, content.getvalue())

    def assign(self, ids: NDArray[np.uint32]) -> None:
        """Assign segments to the groups of the cores that are written.

        Parameters
        ----------
        ids : ndarray of uint32, shape (n + 1,)
            Segment of each group; 0 for none.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        path = self.folder / _IDS
        with replacing(path) as part, run_errors(path):
            np.save(part, ids, allow_pickle=False)

    def join(self, ids: NDArray[np.uint32]) -> None:
        """Assign other segments to those that are assigned.

        Parameters
        ----------
        ids : ndarray of uint32, shape (n + 1,)
            The new segment of each; 0 for none.

        Raises
        ------
        RunError
            If the folder cannot be read or written.
        """
        with run_errors(self.folder / _IDS):
            before = np.load(self.folder / _IDS, allow_pickle=False)
        self.assign(ids[before])

    def cores(self, block: TileBlock) -> Iterator[PaintedCore]:
        """Read the cores of a block in the order of its tiles; their ids are those of segments.

        Raises
        ------
        RunError
            If they are absent or damaged.
        """
        path = self._path(block)
        try:
            ids = np.load(self.folder / _IDS, allow_pickle=False)
            with gzip.open(path, "rb") as file:
                for _ in block.tiles:
                    core = PaintedCore(
                        *(npy.read_array(file, allow_pickle=False) for _ in fields(PaintedCore))
                    )
                    yield replace(core, ids=ids[core.ids])
                # The checksum is compared at the end alone.
                if file.read(1):
                    raise ValueError("it goes on after its last core")
        except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
            raise RunError(
                f"{path}: the painted segments cannot be read ({error}); expected those that this "
                "run has written: give its command again"
            ) from error

    def remove(self) -> None:
        """Remove the files, if they are there."""
        (self.folder / _IDS).unlink(missing_ok=True)
        shutil.rmtree(self.folder / _CORES, ignore_errors=True)

    def _path(self, block: TileBlock) -> Path:
        return self.folder / _CORES / f"{block.index:05d}.npy.gz"
