"""Rings over turns, and the polygons that they bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, depth_first_order

from alps_geo.outputs.turns import LEAVES_EAST, LEAVES_SOUTH, NORTH, SOUTH, WEST

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

    from alps_geo.outputs.turns import Turns

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class _Rings:
    """Closed rings over some turns, in the order of their first turns.

    Attributes
    ----------
    order : array (turns,)
        Turns along the first ring, then along the second, and so on.
    start : array (rings + 1,)
        Index of the first turn of each ring in `order`.
    of_turn : array (turns,)
        The ring of each turn.
    """

    order: Ints
    start: Ints
    of_turn: Ints


def assemble(
    turns: Turns, height: int, width: int, transform: Affine
) -> tuple[Ints, NDArray[np.object_]]:
    """Close the turns of some segments to rings, and these to multipolygons.

    Parameters
    ----------
    turns : Turns
        All turns of the segments, at least one.
    height, width : int
        Shape of the raster, in pixels.
    transform : affine.Affine
        From (col, row) on the lattice to the CRS.

    Returns
    -------
    ids : array (n,), int64
        The segments, in ascending order.
    geometries : array (n,) of shapely.MultiPolygon
    """
    ids, rank = np.unique(turns.segment, return_inverse=True)
    position = (rank * (height + 1) + turns.row) * (width + 1) + turns.col
    by_row = np.argsort(position * 16 + turns.kind)
    turns, rank, position = turns.take(by_row), rank[by_row], position[by_row]
    upright = ((rank * (width + 1) + turns.col) * (height + 1) + turns.row) * 2 + (turns.kind & 1)

    following = _untangle(_following(turns.kind, upright), position)
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
    points = on_map(x[nodes], y[nodes], transform)
    multipolygon = shapely.GeometryType.MULTIPOLYGON
    return ids, shapely.from_ragged_array(multipolygon, points, offsets)


def on_map(
    col: NDArray[np.number], row: NDArray[np.number], transform: Affine
) -> NDArray[np.float64]:
    """Take points of the lattice to the CRS, shape (n, 2)."""
    return np.stack(
        [
            transform.a * col + transform.b * row + transform.c,
            transform.d * col + transform.e * row + transform.f,
        ],
        axis=1,
    )


def _following(kind: NDArray[np.uint8], upright: Ints) -> Ints:
    """Return the next turn along the ring, for each turn.

    On a lattice line the turns of one segment, in order, are the ends of its edges: first and
    second, third and fourth, and so on, if a straight one counts twice.
    """
    following = np.empty(len(kind), np.int64)
    along_row = np.flatnonzero(kind < WEST)
    along_col = np.flatnonzero((kind != NORTH) & (kind != SOUTH))
    along_col = along_col[np.argsort(upright[along_col])]
    for ends, leaves in ((along_row, LEAVES_EAST), (along_col, LEAVES_SOUTH)):
        ends = np.repeat(ends, np.where(kind[ends] >= NORTH, 2, 1))
        begin, end = ends[0::2], ends[1::2]
        forward = leaves[kind[begin]]
        following[np.where(forward, begin, end)] = np.where(forward, end, begin)
    return following


def _untangle(following: Ints, position: Ints) -> Ints:
    """Split rings that touch themselves at a lattice point: they would be no valid rings.

    At a corner where two pixels of a segment meet, its rings first turn to stay apart. If
    both turns there belong to one ring, the ring goes round something that is cut off at that
    point: leaving by the other turn's way makes it a ring of its own. Borders don't cross, so these
    points are nested along the ring and can all be changed at once.
    """
    twin = np.flatnonzero(position[1:] == position[:-1])
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


def _shells(turns: Turns, rank: Ints, following: Ints, rings: _Rings, is_shell: Bools) -> Ints:
    """Return the shell of each ring: itself, or the one around it."""
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


def _ring_above(turns: Turns, rank: Ints, following: Ints, rings: _Rings, holes: Ints) -> Ints:
    """Return the ring of the first border straight up from each hole's first turn.

    Only the segment lies between: both bound the same piece of it.
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
    """Return the turns along some rings, each back to its first, and the number of each ring."""
    length = np.diff(rings.start)[which]
    sizes = length + 1
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    length = np.repeat(length, sizes)
    step = (length - step if backwards else step) % length
    return rings.order[np.repeat(rings.start[which], sizes) + step], sizes
