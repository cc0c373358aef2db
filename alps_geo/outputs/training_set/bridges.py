"""Polygons with holes as one ring each: a bridge of no width leads to each hole and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]


def bridged(polygon: shapely.Polygon) -> Points:
    """Return the border of a polygon as one ring that fills to the same region.

    A bridge goes from the leftmost point of a hole to the left, through the polygon, to the next
    border. It is passed twice, in both directions, so that it adds nothing to the region by any
    rule of filling. Borders are those of pixels: all edges are upright or level.

    >>> ring = shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 4, 4)
    >>> len(bridged(ring))
    11

    Parameters
    ----------
    polygon : shapely.Polygon
        On whole coordinates, with edges along the axes.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Points (x, y) of the ring; the first is not repeated at the end.
    """
    ring: Points = shapely.get_coordinates(polygon.exterior)[:-1]
    holes = [_from_leftmost(shapely.get_coordinates(hole)[:-1]) for hole in polygon.interiors]
    # A bridge may end at a hole further to the left, which has to be in the ring by then.
    for hole in sorted(holes, key=lambda points: tuple(points[0])):
        ring = _joined(ring, hole)
    return ring


def _from_leftmost(hole: Points) -> Points:
    """Let a ring begin at its leftmost point, the lowest of these."""
    first = int(np.lexsort((hole[:, 1], hole[:, 0]))[0])
    return np.roll(hole, -first, axis=0)


def _joined(ring: Points, hole: Points) -> Points:
    """Insert a hole into a ring, by a bridge to the nearest upright edge on its left."""
    x, y = hole[0]
    after = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], after[:, 1]), np.maximum(ring[:, 1], after[:, 1])
    meets = (ring[:, 0] == after[:, 0]) & (ring[:, 0] <= x) & (low <= y) & (y <= high)
    candidates = np.flatnonzero(meets)
    edge = int(candidates[ring[candidates, 0].argmax()])
    landing = np.array([[ring[edge, 0], y]])
    # At the end of the edge the landing is a point twice, which is no harm to a filled region.
    return np.concatenate([ring[: edge + 1], landing, hole, hole[:1], landing, ring[edge + 1 :]])
