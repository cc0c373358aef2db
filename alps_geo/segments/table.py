"""The segments of a scene on disk: what they are, and the columns that clusters compare.

::

    segments.npz    one row per segment, by id; small enough to be held whole
    columns.npy     one row per segment, float32, in the order of `rows` in segments.npz

Clusters are fitted and applied from here, so neither SAM nor the tiles are needed any more.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib import format as npy

from alps_geo.errors import RunError
from alps_geo.features.groups import Columns, current_names, segment_columns
from alps_geo.features.sums import RegionSums
from alps_geo.files import replacing, run_errors
from alps_geo.segments.pooling import SegmentSums
from alps_geo.segments.stitch import Segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

_SEGMENTS, _COLUMNS = "segments.npz", "columns.npy"

_OF_TILES = ("ids", "ranks")
"""Fields of `Segments` that have an array for each tile."""


@dataclass(frozen=True)
class Attributes:
    """Attributes of the segments of a scene for users; row i is that of segment id i + 1.

    Attributes
    ----------
    band_means : ndarray of float64, shape (n, B)
        Mean of every band.
    predicted_iou, stability_score : ndarray of float64, shape (n,)
        Means over the pixels that masks own; NaN without a mask.
    is_filled : ndarray of bool, shape (n,)
        Whether most of the segment belongs to no mask.
    """

    band_means: NDArray[np.float64]
    predicted_iou: NDArray[np.float64]
    stability_score: NDArray[np.float64]
    is_filled: NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentTable:
    """The columns of the segments of a scene, read from disk some rows at a time.

    Attributes
    ----------
    folder : pathlib.Path
        Where the files lie.
    kind, features, names
        As in `alps_geo.features.groups.Columns`.
    rows : ndarray of uint32, shape (n,)
        Segment id of each row.
    area : ndarray of int64, shape (n,)
        Pixels of the segment of each row.
    """

    folder: Path
    kind: str
    features: tuple[str, ...]
    names: tuple[str, ...]
    rows: NDArray[np.uint32]
    area: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> Columns:
        """Return some rows, half-open; values are float32."""
        # Mapped for this moment only, so that what was read doesn't stay in memory.
        values = np.load(self.folder / _COLUMNS, mmap_mode="r", allow_pickle=False)
        return Columns(self.kind, self.features, self.names, np.array(values[start:stop]))


def write_tables(
    folder: Path,
    segments: Segments,
    sums: Iterable[SegmentSums],
    band_names: Sequence[str],
    unit: str,
    features: Sequence[str],
    channels: int,
) -> None:
    """Describe the segments of a scene by columns and attributes, and keep all of it.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write; made if need be.
    segments : Segments
        All segments.
    sums : iterable of SegmentSums
        What describes each, in any order; held a batch at a time.
    band_names : sequence of str
        Names of the bands.
    unit : str
        Unit of the bands, as in `alps_geo.features.groups.segment_columns`.
    features : sequence of str
        Keys of `alps_geo.features.groups.FEATURES`.
    channels : int
        Channels of the mask generator's embedding.

    Raises
    ------
    RunError
        If the folder cannot be written; the tables are then absent, never half there.
    """
    count = len(segments)
    attributes = Attributes(
        np.full((count, len(band_names)), np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.zeros(count, np.bool_),
    )
    order = [np.empty(0, dtype=np.uint32)]
    batches = iter(sums)
    path = folder / _SEGMENTS
    with replacing(path) as part, run_errors(path):
        first = next(batches, SegmentSums(order[0], RegionSums.empty(len(band_names), channels)))
        columns = segment_columns(first.sums, band_names, unit, features)
        with part.with_name(_COLUMNS).open("wb") as file:
            _write_header(file, (count, len(columns.names)))
            for batch in chain([first], batches):
                found = segment_columns(batch.sums, band_names, unit, features)
                file.write(found.values.astype(np.float32).tobytes())
                order.append(batch.ids)
                at = batch.ids.astype(np.int64) - 1
                for field in fields(attributes):
                    getattr(attributes, field.name)[at] = getattr(batch.sums, field.name)
        about = {
            "kind": np.array(columns.kind),
            "features": np.array(columns.features),
            "names": np.array(columns.names),
            "rows": np.concatenate(order),
        }
        arrays: dict[str, Any] = about | _arrays(segments) | _arrays(attributes)
        np.savez(part, **arrays)


def open_table(folder: Path) -> SegmentTable:
    """Open the columns that `write_tables` wrote.

    Raises
    ------
    RunError
        If they are absent or damaged.
    """
    found = _read(folder, ("kind", "features", "names", "rows", "area"))
    return SegmentTable(
        folder,
        str(found["kind"]),
        tuple(found["features"].tolist()),
        current_names(found["names"].tolist()),
        found["rows"],
        found["area"][found["rows"].astype(np.int64) - 1],
    )


def read_segments(folder: Path) -> tuple[Segments, Attributes]:
    """Read the segments that `write_tables` wrote.

    Raises
    ------
    RunError
        If they are absent or damaged.
    """
    known = [field.name for field in fields(Segments)]
    attributes = [field.name for field in fields(Attributes)]
    found = _read(folder, (*known, *attributes, *map(_lengths, _OF_TILES)))
    plain = {name: found[name] for name in known if name not in (*_OF_TILES, "valid_pixels")}
    return (
        Segments(
            **plain,
            ids=_of_tiles(found, "ids"),
            ranks=_of_tiles(found, "ranks"),
            valid_pixels=int(found["valid_pixels"]),
        ),
        Attributes(**{name: found[name] for name in attributes}),
    )


def _read(folder: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    path = folder / _SEGMENTS
    try:
        # Opened here, for numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, BadZipFile, KeyError, ValueError, EOFError) as error:
        raise RunError(
            f"{path}: the segments cannot be read ({error}); expected those of a finished run: "
            "run alps-geo label there again"
        ) from error


def _arrays(value: Segments | Attributes) -> dict[str, NDArray[Any]]:
    """Take a value apart into plain arrays; those of the tiles go end to end."""
    arrays: dict[str, NDArray[Any]] = {}
    # Of stitched segments only what makes them segments is kept.
    for field in fields(Segments if isinstance(value, Segments) else value):
        found = getattr(value, field.name)
        if field.name in _OF_TILES:
            arrays[field.name] = np.concatenate(found)
            arrays[_lengths(field.name)] = np.array([len(table) for table in found])
        else:
            arrays[field.name] = np.asarray(found)
    return arrays


def _of_tiles(arrays: Mapping[str, NDArray[Any]], name: str) -> tuple[NDArray[Any], ...]:
    """Cut one of `_OF_TILES` into the arrays of the tiles."""
    return tuple(np.split(arrays[name], np.cumsum(arrays[_lengths(name)])[:-1]))


def _lengths(name: str) -> str:
    """Name the array that says how long the arrays of the tiles are."""
    return f"{name}_of_tile"


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """Begin a .npy file of float32."""
    descr = npy.dtype_to_descr(np.dtype(np.float32))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(file, header)
