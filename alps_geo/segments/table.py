"""The segments of a scene on disk, with the columns that clusters compare.

::

    segments.npz    one row per segment, by id; small enough to be held whole
    columns.npy     one row per segment, float32, in the order of `rows` in segments.npz

Clusters are fitted and applied from here, so neither SAM nor the tiles are needed any more.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from alps_geo.errors import RunError
from alps_geo.features.columns import Columns
from alps_geo.features.mapping import HERE
from alps_geo.features.registry import current_names
from alps_geo.files import ARRAYS_DAMAGE, replacing, run_errors
from alps_geo.segments.core_sums import SegmentSums
from alps_geo.segments.mixing import mixed_rows
from alps_geo.segments.pooling import SegmentRows
from alps_geo.segments.stitch import Segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from alps_geo.features.columns import ColumnSchema, RowSource
    from alps_geo.features.mapping import Mapper
    from alps_geo.features.sums import RegionSums

_SEGMENTS, _COLUMNS = "segments.npz", "columns.npy"
_STDS = "band_stds"


@dataclass(frozen=True)
class Attributes:
    """Attributes of the segments of a scene for users; row i is that of segment id i + 1.

    Attributes
    ----------
    band_means : ndarray of float64, shape (n, B)
        Mean of every band.
    band_stds : ndarray of float64, shape (n, B)
        Standard deviation of every band; NaN in segments of earlier versions.
    predicted_iou, stability_score : ndarray of float64, shape (n,)
        Means over the pixels that masks own; NaN without a mask.
    is_filled : ndarray of bool, shape (n,)
        True if most of the segment belongs to no mask.
    """

    band_means: NDArray[np.float64]
    band_stds: NDArray[np.float64]
    predicted_iou: NDArray[np.float64]
    stability_score: NDArray[np.float64]
    is_filled: NDArray[np.bool_]

    @classmethod
    def of(cls, sums: RegionSums) -> Attributes:
        """Attributes of segments whose sums are in the order of the ids."""
        return cls(*(getattr(sums, field.name) for field in fields(cls)))

    @classmethod
    def stored(cls, found: Mapping[str, NDArray[Any]]) -> Attributes:
        """Attributes from stored arrays, which have no deviations in earlier versions."""
        stds = {} if _STDS in found else {_STDS: np.full(found["band_means"].shape, np.nan)}
        return cls(**stds, **{f.name: found[f.name] for f in fields(cls) if f.name in found})


@dataclass(frozen=True)
class SegmentTable:
    """The columns of the segments of a scene, read from disk some rows at a time.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the files.
    kind, features, names
        See `alps_geo.features.columns.Columns`.
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

    @property
    def source(self) -> RowSource:
        """The rows, to be read in other processes, which do not need to know the segments."""
        return replace(self, rows=self.rows[:0], area=self.area[:0])

    def read(self, start: int, stop: int) -> Columns:
        """Return some rows, half-open; values are float32."""
        # Mapped for this moment only, so that the rows do not stay in memory.
        values = np.load(self.folder / _COLUMNS, mmap_mode="r", allow_pickle=False)
        return Columns(self.kind, self.features, self.names, np.array(values[start:stop]))


def write_tables(
    folder: Path,
    segments: Segments,
    rows: NDArray[np.uint32],
    described: Iterable[SegmentRows],
    schema: ColumnSchema,
) -> None:
    """Write the segments of a scene, their columns and their attributes.

    Parameters
    ----------
    folder : pathlib.Path
        Folder to write to; made if need be.
    segments : Segments
        All segments.
    rows : ndarray of uint32, shape (n,)
        The segment of each row of the columns.
    described : iterable of SegmentRows
        Their columns, in any order; held a batch at a time.
    schema : ColumnSchema
        The columns.

    Raises
    ------
    RunError
        If the folder cannot be written; the tables are then absent, never half there.
    """
    count = len(segments)
    attributes = Attributes(
        np.full((count, len(schema.band_names)), np.nan),
        np.full((count, len(schema.band_names)), np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.zeros(count, np.bool_),
    )
    position = np.empty(count, dtype=np.int64)
    position[rows.astype(np.int64) - 1] = np.arange(count)
    batches = iter(described)
    path = folder / _SEGMENTS
    with replacing(path) as part, run_errors(path):
        none = SegmentSums(np.empty(0, dtype=np.uint32), schema.no_segments())
        first = next(batches, None) or SegmentRows.of(schema, none)
        with part.with_name(_COLUMNS).open("wb") as file:
            _write_header(file, (count, len(first.columns.names)))
            begin = file.tell()
            for batch in chain([first], batches):
                at = batch.ids.astype(np.int64) - 1
                _write_rows(file, begin, position[at], batch.columns.values)
                for field in fields(attributes):
                    getattr(attributes, field.name)[at] = getattr(batch.sums, field.name)
        _write_segments(part, first.columns, rows, segments, attributes)


def _write_rows(
    file: BinaryIO, begin: int, position: NDArray[np.int64], values: NDArray[np.floating]
) -> None:
    """Write rows of float32 at their positions, counted in rows from `begin`."""
    order = np.argsort(position)
    position, values = position[order], values[order].astype(np.float32)
    starts = np.flatnonzero(np.diff(position, prepend=-2) != 1)
    for start, stop in pairwise([*starts.tolist(), len(position)]):
        file.seek(begin + int(position[start]) * values[0].nbytes)
        file.write(values[start:stop].tobytes())


def mix_tables(
    table: SegmentTable,
    shares: Sequence[csr_array],
    segments: Segments,
    attributes: Attributes,
    mapper: Mapper = HERE,
) -> None:
    """Replace the segments of a table by others, whose columns are mixed from theirs.

    Columns are read where they are needed, some at a time.

    Parameters
    ----------
    table : SegmentTable
        The n segments of before.
    shares : sequence of csr_array, shapes (m, n), (n, n), ...
        Row i of their product holds the shares of the segments of before in the one of id i + 1. It
        is made some rows at a time, for it is much larger than they are.
    segments, attributes : Segments, Attributes
        The m segments.
    mapper : Mapper
        Maps the mixing of some rows at a time.

    Raises
    ------
    RunError
        If the folder cannot be written; the tables are then as before.
    """
    path, columns = table.folder / _SEGMENTS, table.folder / _COLUMNS
    position = np.empty(len(table), dtype=np.int64)
    position[table.rows.astype(np.int64) - 1] = np.arange(len(table))
    with replacing(path) as part, run_errors(path):
        with (
            part.with_name(_COLUMNS).open("wb") as file,
            closing(mixed_rows(columns, shares, position, mapper)) as mixed,
        ):
            _write_header(file, (len(segments), len(table.names)))
            for values in mixed:
                file.write(values.tobytes())
        ids = np.arange(1, len(segments) + 1, dtype=np.uint32)
        _write_segments(part, table.read(0, 0), ids, segments, attributes)


def _write_segments(
    path: Path,
    columns: Columns,
    rows: NDArray[np.uint32],
    segments: Segments,
    attributes: Attributes,
) -> None:
    arrays: dict[str, Any] = {
        "kind": np.array(columns.kind),
        "features": np.array(columns.features),
        "names": np.array(columns.names),
        "rows": rows,
        "area": segments.area,
        "valid_pixels": np.array(segments.valid_pixels),
    }
    np.savez(path, **arrays, **vars(attributes))


class TableWriter:
    """Writes segments whose number is known at the end alone, in the order of their ids.

    Made by `opened`; the files take their places when its block ends.
    """

    def __init__(self, part: Path) -> None:
        self._part = part
        self._file = part.with_name(_COLUMNS).open("wb+")
        self._columns: Columns | None = None
        self._header_bytes = 0
        self._areas: list[NDArray[np.int64]] = []
        self._attributes: list[Attributes] = []

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[TableWriter]:
        """Write into a folder, which is made if need be.

        Raises
        ------
        RunError
            If the folder cannot be written; the tables are then absent, never half there.
        """
        path = folder / _SEGMENTS
        with replacing(path) as part, run_errors(path):
            writer = cls(part)
            with writer._file:
                yield writer

    def add(self, columns: Columns, area: NDArray[np.int64], attributes: Attributes) -> None:
        """Write some more segments, one row each."""
        if self._columns is None:
            self._columns = columns.read(0, 0)
            _write_header(self._file, (0, len(columns.names)))
            self._header_bytes = self._file.tell()
        self._file.write(columns.values.astype(np.float32).tobytes())
        self._areas.append(area)
        self._attributes.append(attributes)

    def end(self, valid_pixels: int, more: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the table of all rows, and further files of arrays by their names.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        columns = self._columns
        if columns is None:
            raise ValueError("no table was added, expected one at least")
        area = np.concatenate(self._areas)
        # numpy leaves room in a header for more rows, so the rows stay where they are.
        self._file.seek(0)
        _write_header(self._file, (len(area), len(columns.names)))
        if self._file.tell() != self._header_bytes:
            raise ValueError(f"the header has {self._file.tell()} bytes, not {self._header_bytes}")
        attributes: dict[str, Any] = {
            field.name: np.concatenate([getattr(each, field.name) for each in self._attributes])
            for field in fields(Attributes)
        }
        for name, arrays in more.items():
            np.savez(self._part.with_name(name), **arrays)
        np.savez(
            self._part,
            kind=np.array(columns.kind),
            features=np.array(columns.features),
            names=np.array(columns.names),
            rows=np.arange(1, len(area) + 1, dtype=np.uint32),
            area=area,
            valid_pixels=np.array(valid_pixels),
            **attributes,
        )


def open_table(folder: Path) -> SegmentTable:
    """Open the columns that `write_tables` wrote.

    Raises
    ------
    RunError
        If they are absent or damaged.
    """
    found = read_arrays(folder / _SEGMENTS, ("kind", "features", "names", "rows", "area"))
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
    attributes = [field.name for field in fields(Attributes) if field.name != _STDS]
    names = ("area", "valid_pixels", *attributes)
    found = read_arrays(folder / _SEGMENTS, names, optional=(_STDS,))
    return (
        Segments(found["area"], int(found["valid_pixels"])),
        Attributes.stored(found),
    )


def read_arrays(
    path: Path, names: Sequence[str], *, optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read some arrays of an .npz file of a run folder, and optional ones that it has.

    Raises
    ------
    RunError
        If the file is absent or damaged.
    """
    try:
        # Opened here, for numpy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            there = [name for name in optional if name in arrays]
            return {name: arrays[name] for name in (*names, *there)}
    except (OSError, *ARRAYS_DAMAGE) as error:
        raise RunError(
            f"{path}: the segments cannot be read ({error}); expected those of a finished run: "
            "run alps-geo label there again"
        ) from error


def _write_header(file: BinaryIO, shape: tuple[int, int]) -> None:
    """Begin a .npy file of float32.

    The rows are written and not mapped: on a full disk a mapped file ends the process (SIGBUS)
    where writing raises an error.
    """
    descr = npy.dtype_to_descr(np.dtype(np.float32))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(file, header)
