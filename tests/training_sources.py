"""Chip sources made of arrays, and training sets of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from alps_geo.clusters.legend import Legend
from alps_geo.outputs.training_set.classes import ClassTable, classes_of
from alps_geo.outputs.training_set.formats import FORMATS
from alps_geo.outputs.training_set.record import SetOrigin, TrainingSet
from alps_geo.outputs.training_set.settings import ExportSettings
from alps_geo.outputs.training_set.write import SetRequest, write_training_set

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.outputs.training_set.source import ChipSource

UTM = CRS.from_epsg(32618)

ORIGIN = SetOrigin("0.1.0", "/runs/results", "mobile_sam", "1a2b3c4d")


@dataclass(frozen=True)
class ArraySource:
    """A source whose segments are squares, each of a cluster of its own turn."""

    name: str
    shape: tuple[int, int]
    corner: tuple[float, float] | None = (500_000.0, 4_300_000.0)
    split: str | None = None
    side: int = 11
    count: int = 5
    path: str = "scene.tif"
    crs: CRS | None = UTM
    dtype: str = "uint16"
    nodata: float | None = None
    band_names: tuple[str, ...] = ("red", "green", "blue", "nir")
    empty: tuple[slice, slice] | None = None
    transform: Affine | None = field(init=False)

    def __post_init__(self) -> None:
        placed = (
            None if self.corner is None else Affine(2, 0, self.corner[0], 0, -2, self.corner[1])
        )
        object.__setattr__(self, "transform", placed)
        if placed is None:
            object.__setattr__(self, "crs", None)

    @property
    def band_numbers(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.band_names) + 1))

    @property
    def ids(self) -> NDArray[np.uint32]:
        """Squares in a ring of another segment, so that some have holes and several parts."""
        rows, cols = np.indices(self.shape) // self.side
        ids = (rows * (self.shape[1] // self.side + 1) + cols + 1).astype(np.uint32)
        inner = (np.indices(self.shape) % self.side == self.side // 2).all(axis=0)
        ids[inner] = np.roll(ids, self.side, axis=1)[inner]
        if self.empty is not None:
            ids[self.empty] = 0
        return ids

    @property
    def values(self) -> NDArray[Any]:
        rows, cols = np.indices(self.shape)
        bands = [rows * 7 + cols * 3 + 100 * band for band in range(len(self.band_names))]
        return np.stack(bands).astype(self.dtype)

    def native(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        return self.values[list(bands)][:, *window.toslices()]

    def picture(self, window: Window) -> NDArray[np.uint8]:
        whole = np.moveaxis(self.values[:3] % 251, 0, -1).astype(np.uint8)
        pixels: NDArray[np.uint8] = whole[window.toslices()]
        return pixels

    def segment_ids(self, window: Window) -> NDArray[np.uint32]:
        ids: NDArray[np.uint32] = self.ids[window.toslices()]
        return ids

    def clusters(self) -> NDArray[np.integer]:
        ids = np.arange(int(self.ids.max()) + 1)
        return np.where(ids == 0, 0, ids % self.count + 1)

    def class_numbers(self) -> NDArray[np.int64]:
        """Number of the class of each pixel where clusters are classes, -1 for none."""
        return self.clusters()[self.ids].astype(np.int64) - 1


SCENE = ArraySource("scene", (200, 180), empty=(slice(0, 20), slice(0, 25)))
IMAGES = (
    ArraySource("a", (40, 48), None, "train", path="img_dir/train/a.png"),
    ArraySource("a", (48, 40), None, "val", path="img_dir/val/a.png"),
    ArraySource("b.c", (48, 48), None, "train", path="img_dir/train/b.c.png"),
)
WHOLE = (1.0, 0.0, 0.0)
CHIPS = ExportSettings(chip_size=48, overlap=16, split=WHOLE, min_labelled=0.0)


def classes(count: int = 5, settings: ExportSettings = CHIPS) -> ClassTable:
    return classes_of(Legend.default(count), settings)


def write_set(
    out: Path,
    to: str,
    sources: Sequence[ChipSource] = (SCENE,),
    settings: ExportSettings = CHIPS,
    *,
    table: ClassTable | None = None,
    overwrite: bool = False,
) -> TrainingSet:
    """Write a set of sources."""
    (kind,) = (each for each in FORMATS if each.name == to)
    request = SetRequest(kind, sources, table or classes(), settings, ORIGIN)
    return write_training_set(request, out, overwrite=overwrite, listen=lambda _: None)


def paste(
    made: TrainingSet, number: int, source: ArraySource, chips: Sequence[NDArray[Any]]
) -> Any:
    """Put chips back to where they were cut from; pixels that lie in several have to agree."""
    dtype = chips[0].dtype
    whole = np.zeros((*chips[0].shape[2:], *source.shape), dtype)
    done = np.zeros(source.shape, np.bool_)
    for chip, pixels in zip(made.plan.chips, chips, strict=True):
        if chip.source != number:
            continue
        at = chip.window.toslices()
        np.testing.assert_array_equal(whole[at][done[at]], pixels[done[at]])
        whole[at], done[at] = pixels, True
    assert done.all()
    return whole


def native(settings: ExportSettings = CHIPS, **changes: Any) -> ExportSettings:
    return replace(settings, values="native", **changes)
