"""Labelled images of a folder as chip sources, opened one at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from alps_geo.errors import RunError, SceneError
from alps_geo.scene import read_tile
from alps_geo.scene.placed import opened_scene
from alps_geo.scene.raster import read_layers

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.outputs.labelled_images import LabelledImages
    from alps_geo.scene import Scene
    from alps_geo.scene.folder import FolderImage
    from alps_geo.segments.images import StoredImage


@dataclass(frozen=True)
class ImageSource:
    """One image of a run over a folder of images.

    Attributes
    ----------
    labelled : LabelledImages
        The images of its split.
    index : int
        Its position among them.
    bands : tuple of int, optional
        Numbers of the bands of pictures; by default those that SAM saw.
    """

    labelled: LabelledImages
    index: int
    bands: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the image."""
        return self._image.name

    @property
    def path(self) -> str:
        """Its file."""
        return self._image.path

    @property
    def split(self) -> str | None:
        """The split that it lies in; None in a folder without splits."""
        return self._image.split or None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""
        height, width = self.labelled.table.shapes[self.index].tolist()
        return height, width

    @property
    def transform(self) -> Affine | None:
        """From (col, row) to coordinates."""
        return self._scene.transform if self._scene.has_transform else None

    @property
    def crs(self) -> CRS | None:
        """CRS of the coordinates, if known."""
        return self._scene.crs

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, the same for all images of the kind."""
        return self.labelled.table.reading.band_names

    @property
    def band_numbers(self) -> tuple[int, ...]:
        """Numbers of the bands, from 1; grey and paletted images count as colour ones."""
        numbers = self._scene.data_bands
        count = len(self.band_names)
        return numbers if len(set(numbers)) == count else tuple(range(1, count + 1))

    @property
    def dtype(self) -> str:
        """Data type of the bands."""
        return self._scene.dtype

    @property
    def nodata(self) -> float | None:
        """Nodata value, if all bands have the same."""
        first, *others = self._scene.nodata
        return first if all(each == first for each in others) else None

    def native(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Read the stored values of bands."""
        with opened_scene(self.path) as dataset:
            pixels = read_layers(dataset, self.path, self._scene.layers, window)
        return pixels.bands[list(bands)]

    def picture(self, window: Window) -> NDArray[np.uint8]:
        """Read red, green and blue with the stretch of all images of the kind."""
        return read_tile(self._scene, window).image

    def segment_ids(self, window: Window) -> NDArray[np.uint32]:
        """Return the segments of the image, numbered from 1."""
        ids: NDArray[np.uint32] = self._stored.ids[window.toslices()].astype(np.uint32)
        return ids

    def clusters(self) -> NDArray[np.integer]:
        """Return the cluster of each segment."""
        rows = self.labelled.table.rows_of(self.index)
        return np.append(0, self.labelled.assigned.cluster[rows])

    @property
    def _image(self) -> FolderImage:
        return self.labelled.table.images[self.index]

    @cached_property
    def _scene(self) -> Scene:
        path = Path(self.path)
        if not path.is_file():
            raise SceneError(
                f"{path} is not there, and its pixels are needed: put the image back and give the "
                "command again"
            )
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != self._image.stamp[:2]:
            raise SceneError(
                f"{path} has changed since it was labelled: put back the file, or run alps-geo "
                "dataset label again with --overwrite"
            )
        reading = self.labelled.table.reading
        return replace(reading, bands=self.bands or reading.bands).open(self.path)

    @cached_property
    def _stored(self) -> StoredImage:
        stored = self.labelled.table.store.load(self._image)
        if stored is None:
            raise RunError(
                f"the segments of {self._image.title} are absent or damaged, expected those of a "
                "finished run: run alps-geo dataset label there again with --overwrite"
            )
        return stored


class ImageSources(Sequence[ImageSource]):
    """The images of all splits of a run, each made when it is asked for.

    Parameters
    ----------
    splits : sequence of LabelledImages
        The splits.
    bands : tuple of int, optional
        Numbers of the bands of pictures.
    """

    def __init__(
        self, splits: Sequence[LabelledImages], bands: tuple[int, ...] | None = None
    ) -> None:
        self._splits = splits
        self._bands = bands
        self._ends = list(accumulate(len(split.table) for split in splits))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> ImageSource: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageSource]: ...

    def __getitem__(self, index: int | slice) -> ImageSource | Sequence[ImageSource]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        at = bisect_right(self._ends, index)
        first = self._ends[at - 1] if at else 0
        return ImageSource(self._splits[at], index - first, self._bands)
