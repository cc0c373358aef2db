"""Labelled maps as chip sources: a scene and the results of a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.outputs.names import SEGMENTS
from alps_geo.outputs.output import check_present
from alps_geo.scene import read_tile
from alps_geo.scene.placed import opened_scene
from alps_geo.scene.raster import opened, read_layers, read_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.outputs.output import LabelledScene
    from alps_geo.scene import Scene


@dataclass(frozen=True)
class MapSource:
    """A scene of a run over maps.

    Attributes
    ----------
    name : str
        Name of the scene in the run.
    scene : Scene
        The scene; its red, green and blue are those of pictures.
    labelled : LabelledScene
        Its segments and clusters.
    classes : ndarray of int64, shape (n,), optional
        Class of each segment, by id from 1, which takes the place of its cluster.
    """

    name: str
    scene: Scene
    labelled: LabelledScene
    classes: NDArray[np.int64] | None = None

    @property
    def path(self) -> str:
        """The raster."""
        return self.scene.path

    @property
    def split(self) -> str | None:
        """None: chips of maps are split by their place."""
        return None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""
        return self.scene.shape

    @property
    def transform(self) -> Affine | None:
        """From (col, row) to coordinates."""
        return self.scene.transform if self.scene.has_transform else None

    @property
    def crs(self) -> CRS | None:
        """CRS of the coordinates, if known."""
        return self.scene.crs

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the data bands."""
        return self.scene.band_names

    @property
    def band_numbers(self) -> tuple[int, ...]:
        """Numbers of the data bands, from 1; those of the colours of a paletted scene."""
        return (1, 2, 3) if self.scene.palette is not None else self.scene.data_bands

    @property
    def dtype(self) -> str:
        """Data type of the data bands."""
        return self.scene.dtype

    @property
    def nodata(self) -> float | None:
        """Nodata value, if all data bands have the same."""
        first, *others = self.scene.nodata
        return first if all(each == first for each in others) else None

    def native(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Read the stored values of bands."""
        with opened_scene(self.scene.path) as dataset:
            pixels = read_layers(dataset, self.scene.path, self.scene.layers, window)
        return pixels.bands[list(bands)]

    def picture(self, window: Window) -> NDArray[np.uint8]:
        """Read red, green and blue as SAM saw them."""
        return read_tile(self.scene, window).image

    def segment_ids(self, window: Window) -> NDArray[np.uint32]:
        """Read the segments of the map."""
        path = self.labelled.folder / SEGMENTS
        check_present(path)
        with opened(str(path)) as raster:
            ids: NDArray[np.uint32] = read_window(raster, str(path), (1,), window)[0]
        return ids

    def clusters(self) -> NDArray[np.integer]:
        """Return the cluster of each segment, or its class."""
        return self._clusters

    @cached_property
    def _clusters(self) -> NDArray[np.int64]:
        given = self.classes
        return np.concatenate([[0], self.labelled.assigned.cluster if given is None else given])
