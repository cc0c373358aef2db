"""Segments raster -> polygons that are exactly its regions.

Outlines are traced on integer pixel corners: a ring has a vertex where the border of its segment
turns, so nothing has to be joined where two strips meet, and the result doesn't depend on how the
raster was cut. It also has a vertex where a third segment meets the border, so that neighbours
share every edge from end to end: no sliver when a rotated transform rounds, and
`shapely.coverage_simplify` takes the polygons as they are.

Words used here: the *lattice* is the grid of pixel corners, its rows 0..height and columns
0..width; a *turn* is a vertex of a ring, on the lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, depth_first_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from affine import Affine
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
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
    opened = _Turns.none()
    for rows, start, ending in zip(
        _padded_strips(read, height, width, strip),
        range(0, height, strip),
        _endings(read, height, width, strip),
        strict=True,
    ):
        opened = _Turns.join(opened, _find_turns(rows, start))
        ended = np.isin(opened.segment, ending)
        if ended.any():
            yield _assemble(opened.take(ended), height, width, transform)
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
    col, row = (np.rint(place).astype(np.int64) for place in ~transform @ (x, y))
    frame = []
    for along, length, across, edge, beyond, is_row in (
        (col, width, row, 0, -1, True),
        (col, width, row, height, height + 1, True),
        (row, height, col, 0, -1, False),
        (row, height, col, width, width + 1, False),
    ):
        places = np.unique([0, *along[across == edge], length])
        ring = np.append(places, [length, 0])
        other = np.append(np.full(len(places), edge), [beyond, beyond])
        cols, rows = (ring, other) if is_row else (other, ring)
        frame.append(shapely.Polygon(_on_map(cols, rows, transform)))
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
    """For each padded strip, the ids that it is the last to hold."""
    found = []
    for rows in _padded_strips(read, height, width, strip):
        flat = rows.ravel()
        starts_run = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        found.append(np.unique(flat[np.append(0, starts_run)]).astype(np.int64))
    numbers = np.repeat(np.arange(len(found)), [len(ids) for ids in found])
    ids, from_end = np.unique(np.concatenate(found)[::-1], return_index=True)
    last = numbers[::-1][from_end]
    return [ids[(last == number) & (ids != 0)] for number in range(len(found))]


# Quadrants around a lattice point are numbered 2 * east + south, so that ^2 is the neighbour across
# the vertical line, ^1 across the horizontal one. A turn's kind says what its segment holds there:
# 0-3 that quadrant alone (of its 4-connected piece), 4-7 all but quadrant kind - 4; 8-11, where the
# border runs straight past a third segment, the north, south, west or east half.
# Rings keep the segment on their left, seen on screen.
_NORTH, _SOUTH, _WEST, _EAST = 8, 9, 10, 11
# Whether the ring leaves a turn eastwards, given that a horizontal edge begins there;
# southwards, given that a vertical edge begins there.
_LEAVES_EAST = np.isin(np.arange(12), [2, 7, _NORTH])
_LEAVES_SOUTH = np.isin(np.arange(12), [3, 5, _EAST])


@dataclass(frozen=True)
class _Turns:
    """Vertices of rings: arrays (n,) of segment id, lattice row and column, and kind."""

    segment: Ints
    row: NDArray[np.int32]
    col: NDArray[np.int32]
    kind: NDArray[np.uint8]

    @classmethod
    def none(cls) -> _Turns:
        return cls(
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
        )

    @classmethod
    def join(cls, *parts: _Turns) -> _Turns:
        return cls(
            np.concatenate([part.segment for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.col for part in parts]),
            np.concatenate([part.kind for part in parts]),
        )

    def take(self, which: Ints | Bools) -> _Turns:
        return _Turns(self.segment[which], self.row[which], self.col[which], self.kind[which])


def _find_turns(rows: NDArray[np.integer], start: int) -> _Turns:
    """Find turns on the lattice rows between rows of pixels; the first of these is `start`."""
    pixels = np.pad(rows, ((0, 0), (1, 1)))
    same_h = pixels[:, :-1] == pixels[:, 1:]
    same_v = pixels[:-1] == pixels[1:]
    dull = (same_h[:-1] & same_h[1:]) | (same_v[:, :-1] & same_v[:, 1:])
    row, col = np.nonzero(~dull)
    around = [pixels[row + (q & 1), col + (q >> 1)].astype(np.int64) for q in range(4)]

    def turns(here: Bools, quadrant: int, kind: int) -> _Turns:
        at = np.flatnonzero(here & (around[quadrant] != 0))
        return _Turns(
            around[quadrant][at],
            (row[at] + start).astype(np.int32),
            col[at].astype(np.int32),
            np.full(len(at), kind, np.uint8),
        )

    found = []
    for q in range(4):
        one, across_v, across_h, opposite = (around[q ^ flip] for flip in (0, 2, 1, 3))
        found.append(turns((one != across_v) & (one != across_h), q, q))
        three = (across_v == across_h) & (across_v == opposite) & (across_v != one)
        found.append(turns(three, q ^ 2, 4 + q))
    for kind, held, flip in ((_NORTH, 0, 2), (_SOUTH, 1, 2), (_WEST, 0, 1), (_EAST, 2, 1)):
        inside, beyond = around[held], around[held ^ (3 - flip)]
        beside, beyond_beside = around[held ^ flip], around[held ^ 3]
        straight = (inside == beside) & (inside != beyond) & (inside != beyond_beside)
        found.append(turns(straight & (beyond != beyond_beside), held, kind))
    return _Turns.join(*found)


@dataclass(frozen=True)
class _Rings:
    """Closed rings over some turns, in the order of their first turns.

    Attributes
    ----------
    order : array (turns,)
        Turns along the first ring, then along the second, and so on.
    start : array (rings + 1,)
        Where each begins in `order`.
    of_turn : array (turns,)
        The ring of each turn.
    """

    order: Ints
    start: Ints
    of_turn: Ints


def _assemble(turns: _Turns, height: int, width: int, transform: Affine) -> Polygons:
    ids, rank = np.unique(turns.segment, return_inverse=True)
    place = (rank * (height + 1) + turns.row) * (width + 1) + turns.col
    by_row = np.argsort(place * 16 + turns.kind)
    turns, rank, place = turns.take(by_row), rank[by_row], place[by_row]
    upright = ((rank * (width + 1) + turns.col) * (height + 1) + turns.row) * 2 + (turns.kind & 1)

    following = _untangle(_following(turns.kind, upright), place)
    rings = _rings(following)
    x, y = turns.col.astype(np.int64), turns.row.astype(np.int64)
    twice_area = np.add.reduceat(
        (x * y[following] - x[following] * y)[rings.order], rings.start[:-1]
    )
    # Rows count downwards: what runs counter-clockwise on screen has a negative area here.
    is_shell = twice_area < 0
    owner = _shells(turns, rank, following, rings, is_shell)

    ring_order = np.lexsort((~is_shell, owner))
    nodes, sizes = _closed(rings, ring_order, backwards=transform.determinant > 0)
    shell_at = np.flatnonzero(is_shell[ring_order])
    segment_of_shell = rank[rings.order[rings.start[:-1]]][ring_order][shell_at]
    offsets = (
        np.append(0, np.cumsum(sizes)),
        np.append(shell_at, len(ring_order)),
        np.searchsorted(segment_of_shell, np.arange(len(ids) + 1)),
    )
    points = _on_map(x[nodes], y[nodes], transform)
    multipolygon = shapely.GeometryType.MULTIPOLYGON
    return Polygons(ids, shapely.from_ragged_array(multipolygon, points, offsets))


def _on_map(col: Ints, row: Ints, transform: Affine) -> NDArray[np.float64]:
    return np.stack(
        [
            transform.a * col + transform.b * row + transform.c,
            transform.d * col + transform.e * row + transform.f,
        ],
        axis=1,
    )


def _following(kind: NDArray[np.uint8], upright: Ints) -> Ints:
    """Find the turn that follows each along its ring.

    On a lattice line the turns of one segment, in order, are the ends of its edges: first and
    second, third and fourth, and so on, if a straight one counts twice.
    """
    following = np.empty(len(kind), np.int64)
    along_row = np.flatnonzero(kind < _WEST)
    along_col = np.flatnonzero((kind != _NORTH) & (kind != _SOUTH))
    along_col = along_col[np.argsort(upright[along_col])]
    for ends, leaves in ((along_row, _LEAVES_EAST), (along_col, _LEAVES_SOUTH)):
        ends = np.repeat(ends, np.where(kind[ends] >= _NORTH, 2, 1))
        begin, end = ends[0::2], ends[1::2]
        forward = leaves[kind[begin]]
        following[np.where(forward, begin, end)] = np.where(forward, end, begin)
    return following


def _untangle(following: Ints, place: Ints) -> Ints:
    """Split rings that touch themselves at a lattice point: they would be no valid rings.

    Where two pixels of a segment meet at a corner, its rings first turn so that they stay apart. If
    both turns there belong to one ring, the ring goes round something that is cut off at that
    point: leaving by the other turn's way makes it a ring of its own. Borders don't cross, so these
    points are nested along the ring and can all be changed at once.
    """
    twin = np.flatnonzero(place[1:] == place[:-1])
    ring = _cycles(following)
    twin = twin[ring[twin] == ring[twin + 1]]
    following = following.copy()
    following[twin], following[twin + 1] = following[twin + 1], following[twin]
    return following


def _cycles(following: Ints) -> Ints:
    """Give each element of a permutation the number of its cycle; they are in no special order."""
    return np.asarray(connected_components(_graph(following), connection="strong")[1])


def _rings(following: Ints) -> _Rings:
    _, first, of_turn = np.unique(_cycles(following), return_index=True, return_inverse=True)
    leaders = np.sort(first)
    of_turn = np.argsort(np.argsort(first))[of_turn]
    # Each ring's last turn is led on to the next ring's first, and one walk passes them all.
    path = following.copy()
    preceding = np.empty_like(following)
    preceding[following] = np.arange(len(following))
    path[preceding[leaders[:-1]]] = leaders[1:]
    order = depth_first_order(_graph(path), leaders[0], return_predecessors=False)
    start = np.append(0, np.cumsum(np.bincount(of_turn)))
    return _Rings(np.asarray(order, np.int64), start, of_turn)


def _graph(following: Ints) -> csr_array:
    size = len(following)
    return csr_array((np.ones(size), following, np.arange(size + 1)), shape=(size, size))


def _shells(turns: _Turns, rank: Ints, following: Ints, rings: _Rings, is_shell: Bools) -> Ints:
    """For each ring the shell that it is or lies in."""
    first = rings.order[rings.start[:-1]]
    segment = rank[first]
    shells = np.flatnonzero(is_shell)
    owner = shells[np.searchsorted(segment[shells], segment)]
    owner[shells] = shells
    several = np.bincount(segment[shells])[segment] > 1
    holes = np.flatnonzero(several & ~is_shell)
    if len(holes):
        owner[holes] = _ring_above(turns, rank, following, rings, holes)
        while not is_shell[owner].all():
            owner = owner[owner]
    return owner


def _ring_above(turns: _Turns, rank: Ints, following: Ints, rings: _Rings, holes: Ints) -> Ints:
    """Find the ring that is the segment's next border straight up from each hole's first turn.

    Nothing but the segment lies between: both bound the same piece of it.
    """
    first = rings.order[rings.start[holes]]
    wanted = np.isin(rank, rank[first]) & (turns.row == turns.row[following])
    edge = np.flatnonzero(wanted)
    ends = np.sort([turns.col[edge], turns.col[following[edge]]], axis=0).astype(np.int64)
    length = ends[1] - ends[0]
    unit = np.repeat(edge, length)
    col = np.arange(len(unit)) - np.repeat(np.cumsum(length) - length - ends[0], length)
    cols, rows = int(turns.col.max()) + 1, int(turns.row.max()) + 1
    key = (rank[unit] * cols + col) * rows + turns.row[unit]
    order = np.argsort(key)
    hole_key = (rank[first] * cols + turns.col[first]) * rows + turns.row[first]
    above = np.searchsorted(key[order], hole_key) - 1
    return rings.of_turn[unit[order][above]]


def _closed(rings: _Rings, which: Ints, *, backwards: bool) -> tuple[Ints, Ints]:
    """List turns along the given rings, each back to its first, and how many each ring has."""
    length = np.diff(rings.start)[which]
    sizes = length + 1
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    length = np.repeat(length, sizes)
    step = (length - step if backwards else step) % length
    return rings.order[np.repeat(rings.start[which], sizes) + step], sizes
