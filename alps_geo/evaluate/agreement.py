"""Agreement of two rasters of labels, as of one scene with two tile grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import subdivide

from alps_geo.errors import SceneError
from alps_geo.evaluate.rasters import check_same_grid, open_ids
from alps_geo.windows import whole

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SIZE = 1024


@dataclass(frozen=True)
class Agreement:
    """Counts of pixels on which two rasters of labels of one scene agree or differ.

    Attributes
    ----------
    first, second : str
        The files.
    same : int
        Pixels that have the same label in both.
    both : int
        Pixels that have a label in both.
    only_first, only_second : int
        Pixels that have a label in one of them only.
    """

    first: str
    second: str
    same: int
    both: int
    only_first: int
    only_second: int

    @property
    def share(self) -> float:
        """Share of equal labels among the pixels that have one in both."""
        return self.same / self.both


def evaluate_agreement(
    first: str,
    second: str,
    *,
    window_size: int = WINDOW_SIZE,
    listen: Callable[[int, int], None] = lambda _done, _total: None,
) -> Agreement:
    """Compare two rasters of labels that were made with one cluster model.

    Labels are compared by number, so the clusters must be the same in both. Made with tile grids
    that lie half a tile apart, the share shows how much of the labels depends on where tiles lie.

    Parameters
    ----------
    first, second : str
        Rasters of cluster ids on one grid, 0 for unlabelled.
    window_size : int
        Side of the windows that are read, in pixels.
    listen : callable
        Called with the number of windows that are done, and of all.

    Raises
    ------
    SceneError
        If a file cannot be read, the grids differ, or no pixel has a label in both.
    """
    counts = np.zeros(4, np.int64)
    with open_ids(first) as one, open_ids(second) as other:
        check_same_grid(one, other)
        pieces = subdivide(whole(one.height, one.width), window_size, window_size)
        for done, window in enumerate(pieces, start=1):
            a, b = one.read(window), other.read(window)
            both = (a != 0) & (b != 0)
            counts += [
                np.count_nonzero(pixels)
                for pixels in (both & (a == b), both, (a != 0) & (b == 0), (a == 0) & (b != 0))
            ]
            listen(done, len(pieces))
    agreement = Agreement(first, second, *counts.tolist())
    if not agreement.both:
        raise SceneError(
            f"{second}: has no label where {first} has one; expected two rasters of labels of "
            "one scene: give labels.tif of two runs"
        )
    return agreement
