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

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from alps_geo.outputs.rings import assemble, on_map
from alps_geo.outputs.turns import Turns, find_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from affine import Affine
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    RowReader = Callable[[int, int], NDArray[np.integer]]


@dataclass(frozen=True)
class Polygons:
    """Some segments as polygons.

    Attributes
    ----------
    segment_id : array (n,), int64
        In ascending order, none twice.
    geometry : array (n,) of shapely.MultiPolygon
        The region of each: valid and not empty, one part for each of its 4-connected pieces.
    """

    segment_id: Ints
    geometry: NDArray[np.object_]


def polygonize(
    read: RowReader, height: int, width: int, transform: Affine, *, strip: int = 512
) -> Iterator[Polygons]:
    """Turn a segments raster into one multipolygon for each id.

    The raster is read twice: once to learn where each segment ends, once to trace. Only turns of
    segments that have begun and not ended are held.

    Parameters
    ----------
    read : callable
        Given (start, stop), reads these rows of the raster (half-open), as an array
        (stop - start, width) of ids; 0 is no segment.
    height, width : int
        Shape of the raster, in pixels.
    transform : affine.Affine
        From (col, row) on the lattice to the CRS.
    strip : int
        Rows read at a time: decides memory and the size of batches, never a geometry.

    Yields
    ------
    Polygons
        The segments that ended in a strip; each id comes once over all batches. Rings run
        counter-clockwise outside and clockwise inside, and start at their topmost leftmost turn.
    """
    opened = Turns.none()
    for rows, start, ending in zip(
        _padded_strips(read, height, width, strip),
        range(0, height, strip),
        _endings(read, height, width, strip),
        strict=True,
    ):
        opened = Turns.join(opened, find_turns(rows, start))
        ended = np.isin(opened.segment, ending)
        if ended.any():
            yield Polygons(*assemble(opened.take(ended), height, width, transform))
            opened = opened.take(~ended)


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


def _padded_strips(
    read: RowReader, height: int, width: int, strip: int
) -> Iterator[NDArray[np.integer]]:
    """Read strips with the row above them, and below the last one a row of zeros."""
    above: NDArray[np.integer] | None = None
    for start in range(0, height, strip):
        stop = min(start + strip, height)
        rows = read(start, stop)
        edge = np.zeros((1, width), rows.dtype)
        below = [edge] if stop == height else []
        yield np.concatenate([edge if above is None else above, rows, *below])
        above = rows[-1:]


def _endings(read: RowReader, height: int, width: int, strip: int) -> list[Ints]:
    """Return the ids that end in each padded strip: no later strip holds them."""
    found = []
    for rows in _padded_strips(read, height, width, strip):
        flat = rows.ravel()
        starts_run = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        found.append(np.unique(flat[np.append(0, starts_run)]).astype(np.int64))
    numbers = np.repeat(np.arange(len(found)), [len(ids) for ids in found])
    ids, from_end = np.unique(np.concatenate(found)[::-1], return_index=True)
    last = numbers[::-1][from_end]
    return [ids[(last == number) & (ids != 0)] for number in range(len(found))]
