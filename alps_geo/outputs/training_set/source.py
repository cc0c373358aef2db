"""The contract of chip sources: labelled maps and labelled images, of which chips are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window


class ChipSource(Protocol):
    """A labelled raster of which chips are cut: a map, or an image of a folder.

    Sources may be many, so they are described by plain values, and pixels are read when a method is
    called. Windows are whole pixels inside the source.
    """

    @property
    def name(self) -> str:
        """Name, a part of the names of its chips; unique among the sources of its split."""

    @property
    def path(self) -> str:
        """The raster, for the card of the set."""

    @property
    def split(self) -> str | None:
        """The split that all its chips belong to; None if chips are split by their place."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), in pixels."""

    @property
    def transform(self) -> Affine | None:
        """From (col, row) to coordinates; None where nothing places the raster."""

    @property
    def crs(self) -> CRS | None:
        """CRS of the coordinates, if known."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the data bands."""

    @property
    def band_numbers(self) -> tuple[int, ...]:
        """Numbers of the data bands in the file, from 1."""

    @property
    def dtype(self) -> str:
        """Data type of the data bands."""

    @property
    def nodata(self) -> float | None:
        """Value that means no data in all data bands, if there is one."""

    def native(self, window: Window, bands: Sequence[int]) -> NDArray[Any]:
        """Read the stored values of bands, given by their positions, as an array (B, H, W).

        Raises
        ------
        SceneError
            If they cannot be read; so do the other methods.
        """

    def picture(self, window: Window) -> NDArray[np.uint8]:
        """Read red, green and blue with the stretch of the scene, (H, W, 3), 0 without data."""

    def segment_ids(self, window: Window) -> NDArray[np.uint32]:
        """Read the id of the segment of each pixel (H, W), unique in the source, 0 for none."""

    def clusters(self) -> NDArray[np.integer]:
        """Return the cluster of each segment id from 0 on, shape (n + 1,), 0 for unlabelled.

        If the classes of a run are exported, the class takes the place of the cluster.
        """


@dataclass(frozen=True)
class SourceFacts:
    """Description of a source, which is kept when the source is not.

    Attributes
    ----------
    name : str
        `source_key` of the source.
    path, split, shape, transform, crs
        Those of the source.
    """

    name: str
    path: str
    split: str | None
    shape: tuple[int, int]
    transform: Affine | None
    crs: CRS | None

    @classmethod
    def of(cls, source: ChipSource) -> SourceFacts:
        """Describe a source."""
        return cls(
            source_key(source),
            source.path,
            source.split,
            source.shape,
            source.transform,
            source.crs,
        )

    @property
    def crs_text(self) -> str:
        """The CRS in words; empty without one."""
        return "" if self.crs is None else str(self.crs.to_string())


def source_key(source: ChipSource) -> str:
    """Return a name of a source that no other source of the set has.

    It has the split in it where the source has one: ``train/a`` and ``val/a`` are two images.
    """
    return source.name if source.split is None else f"{source.split}/{source.name}"
