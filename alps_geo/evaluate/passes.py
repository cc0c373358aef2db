"""The two passes over labels and truth: pixels are counted first, then compared one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import subdivide

from alps_geo.evaluate.agreement_map import agreement_codes
from alps_geo.evaluate.boundary import BoundaryCounts, count_boundaries, halo
from alps_geo.evaluate.contingency import NO_CLASS, PairCounts
from alps_geo.windows import buffered, origin, whole, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.evaluate.agreement_map import AgreementMap
    from alps_geo.evaluate.contingency import Contingency
    from alps_geo.evaluate.rasters import IdRaster
    from alps_geo.evaluate.truth_file import Truth


@dataclass(frozen=True)
class Image:
    """One open raster of labels, with its truth.

    Attributes
    ----------
    labels : IdRaster
        Cluster ids.
    truth : Truth
        Classes on the same grid.
    segments : IdRaster or None
        Segment ids on the same grid.
    """

    labels: IdRaster
    truth: Truth
    segments: IdRaster | None = None

    def windows(self, size: int) -> list[Window]:
        """Cut the raster into windows of this side."""
        windows: list[Window] = subdivide(self.area, size, size)
        return windows

    @property
    def area(self) -> Window:
        """The window of all pixels."""
        return whole(self.labels.height, self.labels.width)


class Passes:
    """The passes over one or many images, each of which is opened for its turn alone.

    Parameters
    ----------
    images : sequence of callable
        Open one image each.
    window_size : int
        Side of the windows that are read, in pixels.
    listen : callable
        Called with the number of steps that are done, and of all. A step is an image, or a window
        where there is one image alone.
    """

    def __init__(
        self,
        images: Sequence[Callable[[], AbstractContextManager[Image]]],
        window_size: int,
        listen: Callable[[int, int], None],
    ) -> None:
        self._images = images
        self._window_size = window_size
        self._listen = listen
        self._done = 0

    def count(self) -> tuple[Contingency, Contingency]:
        """Count labels, and segments, by class; ignored classes are counted too."""
        by_label, by_segment = PairCounts(), PairCounts()
        for image, window in self._windows():
            classes, valid = image.truth.read(window)
            classes = classes[valid]
            by_label.add(image.labels.read(window)[valid], classes)
            if image.segments is not None:
                by_segment.add(image.segments.read(window)[valid], classes)
        return by_label.table(), by_segment.table()

    def compare(
        self, table: Contingency, tolerances: Sequence[int], picture: AgreementMap
    ) -> BoundaryCounts:
        """Compare the majority map with the truth pixel by pixel, and draw the map, if any."""
        given = table.majority()
        total = BoundaryCounts.zero(len(tolerances), len(table.classes))
        for image, window in self._windows():
            wide = buffered(window, halo(tolerances), image.area)
            inner = within(window, wide)
            classes, valid = image.truth.read(wide)
            valid &= ~np.isin(classes, list(image.truth.ignored))
            labels = image.labels.read(wide)
            truth = _lookup(table.classes, np.arange(len(table.classes)), classes)
            found = _lookup(table.ids, given, labels)
            total += count_boundaries(truth, found, valid, inner, len(table.classes), tolerances)
            if picture.pixels.size:
                codes = agreement_codes(
                    truth[inner], found[inner], valid[inner], labels[inner] != 0
                )
                picture.draw(*origin(window), codes)
        return total

    def _windows(self) -> Iterator[tuple[Image, Window]]:
        """Yield each window of each image, and tell of those that are done."""
        alone = len(self._images) == 1
        for open_image in self._images:
            with open_image() as image:
                windows = image.windows(self._window_size)
                for window in windows:
                    yield image, window
                    if alone:
                        self._tell(len(windows))
            if not alone:
                self._tell(len(self._images))

    def _tell(self, steps: int) -> None:
        self._done += 1
        self._listen(self._done, 2 * steps)


def _lookup(
    keys: NDArray[np.integer], values: NDArray[np.intp], where: NDArray[np.integer]
) -> NDArray[np.intp]:
    """Replace each key by its value; `NO_CLASS` for numbers that are no key."""
    index = np.minimum(np.searchsorted(keys, where), len(keys) - 1)
    return np.where(keys[index] == where, values[index], NO_CLASS)
