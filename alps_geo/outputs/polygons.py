"""Polygons of the segments in a raster: exactly its regions.

Outlines are traced on integer pixel corners: a ring has a vertex where the border of its segment
turns, so nothing has to be joined where two strips meet, and the result doesn't depend on how the
raster was cut. It also has a vertex where a third segment meets the border, so that neighbours
share every edge from end to end: no sliver when a rotated transform rounds, and
`shapely.coverage_simplify` takes the polygons as they are.

Words used here: the *lattice* is the grid of pixel corners, its rows 0..height and columns
0..width; a *turn* is a vertex of a ring, on the lattice. Turns are found by
`alps_geo.outputs.turns` and closed to rings by `alps_geo.outputs.rings`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely

from alps_geo.features.mapping import HERE
from alps_geo.outputs.rings import assemble, on_map
from alps_geo.outputs.turns import Turns, find_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from affine import Affine
    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper

    Ints = NDArray[np.int64]
    Rows = NDArray[np.integer]
    RowReader = Callable[[int, int], Rows]
    Measure = Callable[[NDArray[np.object_]], Mapping[str, NDArray[np.float64]]]


_BATCH = 50_000
"""Polygons of `Polygons.batches`."""


def no_measures(geometries: NDArray[np.object_]) -> dict[str, NDArray[np.float64]]:  # noqa: ARG001
    """Measure nothing."""
    return {}


@dataclass(frozen=True)
class Polygons:
    """Some segments as polygons.

    Attributes
    ----------
    segment_id : array (n,), int64
        In ascending order, none twice.
    geometry : array (n,) of shapely.MultiPolygon
        The region of each: valid and not empty, one part for each of its 4-connected pieces.
    measures : mapping of str to array (n,)
        Measures of each, by name.
    """

    segment_id: Ints
    geometry: NDArray[np.object_]
    measures: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.segment_id)

    def __reduce__(self) -> tuple[object, ...]:
        # All geometries at once: one by one they take several times as long.
        return _unpickled, (self.segment_id, shapely.to_wkb(self.geometry), self.measures)

    @classmethod
    def none(cls, measure: Measure = no_measures) -> Polygons:
        """Return no polygons, and their measures."""
        geometry = np.empty(0, object)
        return cls(np.empty(0, np.int64), geometry, measure(geometry))

    @classmethod
    def together(cls, parts: Sequence[Polygons]) -> Polygons:
        """Put polygons of different segments together, one part at least."""
        ids = np.concatenate([part.segment_id for part in parts])
        order = np.argsort(ids)
        return cls(
            ids[order],
            np.concatenate([part.geometry for part in parts])[order],
            {
                name: np.concatenate([part.measures[name] for part in parts])[order]
                for name in parts[0].measures
            },
        )

    def batches(self) -> Iterator[Polygons]:
        """Yield them some at a time, at least once."""
        for start in range(0, max(len(self), 1), _BATCH):
            rows = slice(start, start + _BATCH)
            measures = {name: values[rows] for name, values in self.measures.items()}
            yield Polygons(self.segment_id[rows], self.geometry[rows], measures)


def _unpickled(
    segment_id: Ints, wkb: NDArray[np.object_], measures: Mapping[str, NDArray[np.float64]]
) -> Polygons:
    return Polygons(segment_id, shapely.from_wkb(wkb), measures)


def polygonize(
    read: RowReader,
    shape: tuple[int, int],
    transform: Affine,
    *,
    strip: int = 512,
    measure: Measure = no_measures,
    mapper: Mapper = HERE,
) -> Iterator[Polygons]:
    """Turn a segments raster into one multipolygon for each id.

    The raster is read twice: once to learn where each segment ends, once to trace. Strips are
    traced on their own, and segments that lie in one alone are finished there; only the turns of
    others are held, until they end.

    Parameters
    ----------
    read : callable
        Given (start, stop), reads these rows of the raster (half-open), as an array
        (stop - start, width) of ids; 0 is no segment.
    shape : tuple of int
        Height and width of the raster, in pixels.
    transform : affine.Affine
        From (col, row) on the lattice to the CRS.
    strip : int
        Rows read at a time: decides memory and the size of batches, never a geometry.
    measure : callable
        Returns measures of polygons (n,), by name.
    mapper : Mapper
        Maps the work over strips; `read` and `measure` have to pickle if it maps in other
        processes.

    Yields
    ------
    Polygons
        The segments that ended in a strip; each id comes once over all batches. Rings run
        counter-clockwise outside and clockwise inside, and start at their topmost leftmost turn.
    """
    tracer = _Tracer(read, shape, transform, measure)
    strips = [(start, min(start + strip, shape[0])) for start in range(0, shape[0], strip)]
    with closing(mapper.map(tracer.meeting, strips)) as met:
        spans = _Spans.of(list(met))
    opened = Turns.none()
    with closing(mapper.map(tracer.tracing, spans.tasks(strips))) as traced:
        for number, found in enumerate(traced):
            opened = Turns.join(opened, found.turns)
            ended = np.isin(opened.segment, spans.ending(number))
            ending = tracer.closed(opened.take(ended))
            opened = opened.take(~ended)
            if len(found.polygons) or len(ending):
                yield Polygons.together([found.polygons, ending])


@dataclass(frozen=True)
class _Met:
    """Segments that a strip holds, and its last row of pixels."""

    ids: Ints
    last_row: Rows


@dataclass(frozen=True)
class _Task:
    """A strip to trace.

    Attributes
    ----------
    rows : tuple of int
        First row, and the one after the last.
    above : ndarray of int, shape (width,)
        The row of pixels above it.
    alone : ndarray of int64, shape (n,)
        Segments whose turns are all found in this strip.
    """

    rows: tuple[int, int]
    above: Rows
    alone: Ints


@dataclass(frozen=True)
class _Traced:
    """Polygons of segments that lie in a strip alone, and turns of the others."""

    polygons: Polygons
    turns: Turns


@dataclass(frozen=True)
class _Spans:
    """The first and the last strip in which segments have turns.

    A turn on the line between two strips is found in the lower one.

    Attributes
    ----------
    met : list of _Met
        For each strip.
    ids : ndarray of int64, shape (n,)
        Segments, in ascending order.
    first, last : ndarray of int64, shape (n,)
        Numbers of their strips.
    """

    met: list[_Met]
    ids: Ints
    first: Ints
    last: Ints

    @classmethod
    def of(cls, met: list[_Met]) -> _Spans:
        """Compare what strips hold."""
        below = [np.unique(each.last_row).astype(np.int64) for each in met[:-1]]
        found = [*(each.ids for each in met), *below]
        numbers = [*range(len(met)), *range(1, len(met))]
        number = np.repeat(numbers, [len(ids) for ids in found])
        every = np.concatenate(found)
        order = np.lexsort((number, every))
        every, number = every[order], number[order]
        begins = np.flatnonzero(np.diff(every, prepend=-1))
        ends = np.append(begins[1:], len(every)) - 1
        return cls(met, every[begins], number[begins], number[ends])

    def tasks(self, strips: Iterable[tuple[int, int]]) -> Iterator[_Task]:
        """Give the strips, which are traced one by one."""
        above = np.zeros_like(self.met[0].last_row)
        for number, (rows, met) in enumerate(zip(strips, self.met, strict=True)):
            alone = (self.first == number) & (self.last == number)
            yield _Task(rows, above, self.ids[alone])
            above = met.last_row

    def ending(self, number: int) -> Ints:
        """Return the segments that have their last turns in a strip, but not all of them."""
        ending: Ints = self.ids[(self.last == number) & (self.first < number)]
        return ending


@dataclass(frozen=True)
class _Tracer:
    """Tracing of the strips of a raster; see `polygonize`."""

    read: RowReader
    shape: tuple[int, int]
    transform: Affine
    measure: Measure

    def meeting(self) -> Callable[[tuple[int, int]], _Met]:
        """Return the function that finds the segments in a strip."""

        def meet(rows: tuple[int, int]) -> _Met:
            pixels = self.read(*rows)
            flat = pixels.ravel()
            begins = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
            ids = np.unique(flat[begins]).astype(np.int64)
            # A copy, or else the strip would be kept with it.
            return _Met(ids, pixels[-1].copy())

        return meet

    def tracing(self) -> Callable[[_Task], _Traced]:
        """Return the function that traces a strip."""

        def trace(task: _Task) -> _Traced:
            start, stop = task.rows
            rows = [task.above[None], self.read(start, stop)]
            if stop == self.shape[0]:
                rows.append(np.zeros_like(rows[0]))
            turns = find_turns(np.concatenate(rows), start)
            alone = np.isin(turns.segment, task.alone)
            return _Traced(self.closed(turns.take(alone)), turns.take(~alone))

        return trace

    def closed(self, turns: Turns) -> Polygons:
        """Close all turns of some segments to polygons, and measure these."""
        if not len(turns.segment):
            return Polygons.none(self.measure)
        ids, geometry = assemble(turns, *self.shape, self.transform)
        return Polygons(ids, geometry, self.measure(geometry))


def simplify(
    polygons: Polygons, tolerance: float, height: int, width: int, transform: Affine
) -> Polygons:
    """Draw borders with fewer vertices, each border once for both of its sides.

    Neighbours stay neighbours, without gap or overlap: Visvalingam and Whyatt 1993 (doi
    10.1179/000870493786962263) along the edges of the coverage, as in GEOS. All polygons have to be
    given at once, for a border is only known by its two sides. The edge of the raster stays, its
    corners too, so that nothing is missing there and neighbouring scenes meet.

    Parameters
    ----------
    polygons : Polygons
        All polygons of a raster.
    tolerance : float
        Corners that span a triangle of less than this squared, in units of the CRS, are cut.
    height, width : int
        Shape of the raster, in pixels.
    transform : affine.Affine
        From (col, row) on the lattice to the CRS.

    Returns
    -------
    Polygons
        The same segments, as multipolygons.
    """
    frame = _frame(polygons, height, width, transform)
    count = len(polygons.geometry)
    simple = shapely.coverage_simplify([*polygons.geometry, *frame], tolerance)[:count]
    parts, owner = shapely.get_parts(simple, return_index=True)
    return Polygons(polygons.segment_id, np.asarray(shapely.multipolygons(parts, indices=owner)))


def _frame(polygons: Polygons, height: int, width: int, transform: Affine) -> list[shapely.Polygon]:
    """Lay a polygon of one pixel's width along each edge of a raster, outside.

    They have the vertices of the polygons inside. A corner of the raster is then a point at which
    several of a coverage meet, and those stay.
    """
    x, y = shapely.get_coordinates(polygons.geometry).T
    col, row = (np.rint(values).astype(np.int64) for values in ~transform @ (x, y))
    frame = []
    for along, length, across, edge, beyond, is_row in (
        (col, width, row, 0, -1, True),
        (col, width, row, height, height + 1, True),
        (row, height, col, 0, -1, False),
        (row, height, col, width, width + 1, False),
    ):
        vertices = np.unique([0, *along[across == edge], length])
        ring = np.append(vertices, [length, 0])
        other = np.append(np.full(len(vertices), edge), [beyond, beyond])
        cols, rows = (ring, other) if is_row else (other, ring)
        frame.append(shapely.Polygon(on_map(cols, rows, transform)))
    return frame
