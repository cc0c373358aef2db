"""Polygons with holes as single rings that fill to the same pixels.

A bridge of no width leads to each hole and back. Rings lie a little inside the borders of the
pixels: OpenCV, which Ultralytics fills polygons with, drops the fractions of coordinates and paints
the pixels on the ring too, and so gets the pixels at the border and none next to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]

INSET = 0.02
"""Distance of rings from the borders of pixels, in pixels: more than float32 rounds off."""


def bridged(polygon: shapely.Polygon) -> Points:
    """Return the border of a polygon as one ring that fills to the same pixels.

    A bridge goes from the left side of a hole along the middle of a row of pixels to the next
    border. It is passed twice, in both directions, so that it adds nothing to the region by any
    rule of filling.

    >>> ring = shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 4, 4)
    >>> len(bridged(ring))
    16

    Parameters
    ----------
    polygon : shapely.Polygon
        On corners of pixels, with edges along the axes.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Points (x, y) of the ring; the first is not repeated at the end.
    """
    shell, *holes = (
        _inset(shapely.get_coordinates(ring)[:-1])
        for ring in shapely.get_rings(shapely.orient_polygons(polygon))
    )
    # A bridge may end at a hole further to the left, which has to be in the ring by then.
    for hole in sorted(map(_from_left_side, holes), key=lambda points: float(points[0, 0])):
        shell = _joined(shell, hole)
    return shell


def _inset(ring: Points) -> Points:
    """Move the edges of a ring inwards; the inside lies on their left, in axes that turn left.

    Corners that point inwards are cut: on their far side may lie a pixel that is not inside.
    """
    leaving = np.sign(np.roll(ring, -1, axis=0) - ring)
    coming = np.roll(leaving, 1, axis=0)
    turn = coming[:, 0] * leaving[:, 1] - coming[:, 1] * leaving[:, 0]
    after_coming, before_leaving = _leftwards(coming) - coming, _leftwards(leaving) + leaving
    whole = np.where((turn == 0)[:, None], _leftwards(leaving), leaving - coming)
    is_cut = turn < 0
    moves = np.repeat(whole, np.where(is_cut, 2, 1), axis=0)
    first = np.flatnonzero(is_cut) + np.arange(is_cut.sum())
    moves[first], moves[first + 1] = after_coming[is_cut], before_leaving[is_cut]
    moved: Points = np.repeat(ring, np.where(is_cut, 2, 1), axis=0) + INSET * moves
    return moved


def _leftwards(step: Points) -> Points:
    return np.stack([-step[:, 1], step[:, 0]], axis=1)


def _from_left_side(hole: Points) -> Points:
    """Let a ring begin on its leftmost edge, in the middle of the first row of pixels there."""
    after = np.roll(hole, -1, axis=0)
    is_left = (hole[:, 0] == after[:, 0]) & (hole[:, 0] == hole[:, 0].min())
    edge = int(np.flatnonzero(is_left)[0])
    row = np.round(min(hole[edge, 1], after[edge, 1])) + 0.5
    begin = np.array([[hole[edge, 0], row]])
    return np.concatenate([begin, np.roll(hole, -edge - 1, axis=0)])


def _joined(ring: Points, hole: Points) -> Points:
    """Insert a hole into a ring, by a bridge to the nearest upright edge on its left."""
    x, y = hole[0]
    after = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], after[:, 1]), np.maximum(ring[:, 1], after[:, 1])
    meets = (ring[:, 0] == after[:, 0]) & (ring[:, 0] < x) & (low < y) & (y < high)
    edge = int(np.where(meets, ring[:, 0], -np.inf).argmax())
    landing = np.array([[ring[edge, 0], y]])
    return np.concatenate([ring[: edge + 1], landing, hole, hole[:1], landing, ring[edge + 1 :]])
