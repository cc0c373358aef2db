"""Painted cores of a scene on disk: painted once, and read as often as they are needed.

::

    painted.npy.gz    the cores in the grid's order: the arrays of each, one .npy after the other
    ids.npy           the segment of each group of fragments

They are of use to the run alone that has painted them, and are removed when the run ends. Those
that a killed run left are cleared with all its segments by the next.
"""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.lib import format as npy

from alps_geo.errors import RunError
from alps_geo.files import replacing, run_errors
from alps_geo.segments.paint import PaintedCore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.grid import TileGrid

_CORES, _IDS = "painted.npy.gz", "ids.npy"


class Painting(Protocol):
    """The painted cores of one scene: written once, and read as often as they are needed."""

    def writing(self) -> AbstractContextManager[Callable[[PaintedCore], None]]:
        """Write the cores in the grid's order, all of them or none; their ids are of groups."""
        ...

    def assign(self, ids: NDArray[np.uint32]) -> None:
        """Assign segments, or 0 for none, to the groups, which count from 0 for no group."""
        ...

    def join(self, ids: NDArray[np.uint32]) -> None:
        """Assign other segments, or 0 for none, to those that are assigned, from 0 for none."""
        ...

    def cores(self) -> Iterator[PaintedCore]:
        """Read the cores in the grid's order; their ids are those of segments."""
        ...


class MemoryPainting:
    """Painted cores in memory: those of an image of a few tiles; see `Painting`."""

    def __init__(self) -> None:
        self._cores: list[PaintedCore] = []
        self._ids = np.zeros(1, dtype=np.uint32)

    @contextmanager
    def writing(self) -> Iterator[Callable[[PaintedCore], None]]:
        """Keep the cores."""
        self._cores.clear()
        yield self._cores.append

    def assign(self, ids: NDArray[np.uint32]) -> None:
        """Assign segments to the groups of the cores."""
        self._ids = ids

    def join(self, ids: NDArray[np.uint32]) -> None:
        """Assign other segments to those that are assigned."""
        self._ids = ids[self._ids]

    def cores(self) -> Iterator[PaintedCore]:
        """Return the cores in the grid's order; their ids are those of segments."""
        return (replace(core, ids=self._ids[core.ids]) for core in self._cores)


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
    for tile, core in zip(grid, painting.cores(), strict=True):
        yield tile.core, core.ids[core.number]


@dataclass(frozen=True)
class StoredPainting:
    """Painted cores stored in a folder; see `Painting`.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the files; made if need be.
    """

    folder: Path

    @contextmanager
    def writing(self) -> Iterator[Callable[[PaintedCore], None]]:
        """Write the cores, all of them or none.

        Yields
        ------
        callable
            Writes the next core in the grid's order; its ids are those of groups.

        Raises
        ------
        RunError
            If the folder cannot be written.
        """
        path = self.folder / _CORES
        with (
            replacing(path) as part,
            run_errors(path),
            gzip.open(part, "wb", compresslevel=1) as file,
        ):

            def write(core: PaintedCore) -> None:
                for field in fields(core):
                    npy.write_array(file, getattr(core, field.name), allow_pickle=False)

            yield write

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

    def cores(self) -> Iterator[PaintedCore]:
        """Read the cores in the grid's order; their ids are those of segments.

        Raises
        ------
        RunError
            If they are absent or damaged.
        """
        path = self.folder / _CORES
        try:
            ids = np.load(self.folder / _IDS, allow_pickle=False)
            with gzip.open(path, "rb") as file:
                while file.peek(1):
                    core = PaintedCore(
                        *(npy.read_array(file, allow_pickle=False) for _ in fields(PaintedCore))
                    )
                    yield replace(core, ids=ids[core.ids])
        except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
            raise RunError(
                f"{path}: the painted segments cannot be read ({error}); expected those that this "
                "run has written: give its command again"
            ) from error

    def remove(self) -> None:
        """Remove the files, if they are there."""
        for name in (_CORES, _IDS):
            (self.folder / name).unlink(missing_ok=True)
