"""Description of a scene, and the reading of its pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.scene.collar import PixelCentres
from alps_geo.scene.placed import opened_scene
from alps_geo.scene.raster import Layers, Palette, Pixels, read_layers, read_whole
from alps_geo.scene.scaling import UNSCALED, Scaling, to_units, unit_of
from alps_geo.scene.stretch import Limits, apply_stretch
from alps_geo.scene.validity import Validity, valid_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.scene.placed import GroundControl


@dataclass(frozen=True)
class Scene:
    """Description of one georeferenced raster, and the rules for reading its pixels.

    Attributes
    ----------
    path : str
        File, URL or GDAL dataset name, as given.
    name : str
        Stem of the file name.
    height, width : int
        Pixels.
    crs : rasterio.crs.CRS or None
    transform : affine.Affine
        From (col, row) to coordinates; may be rotated or south-up. (col, -row) where nothing
        places the scene on a map.
    has_transform : bool
        False if nothing does.
    control : GroundControl or None
        Control points of such a scene, which GDAL cannot warp it by.
    band_names : tuple of str
        Names of the data bands: unique, letters, digits and underscores.
    data_bands : tuple of int
        The bands that hold data, counted from 1, in the order in which they are read: that of the
        file, unless `in_order` has changed it.
    scaling : tuple of (scale, offset)
        Scale and offset of each data band, from its tags.
    rgb : tuple of int
        The three bands that SAM sees, counted from 1.
    dtype : str
        Data type of the data bands.
    validity : Validity
        Rules that decide which pixels are valid.
    stretch : tuple of (low, high), or None
        Stored values of the `rgb` bands that become 0 and 255; None leaves 8-bit values as they
        are.
    palette : tuple of (red, green, blue, alpha), or None
        Colours of a paletted scene, whose data bands are then the three colours.
    size_bytes : int or None
        Size of a local file.
    mtime : float or None
        Time of change of a local file, in seconds since 1970.
    files_sha256 : str
        Digest of the identity of the files behind the scene; see `alps_geo.scene.sources`.
    notes : tuple of str
        Assumptions about the scene, one sentence each.
    """

    path: str
    name: str
    height: int
    width: int
    crs: CRS | None
    transform: Affine
    has_transform: bool
    control: GroundControl | None
    band_names: tuple[str, ...]
    data_bands: tuple[int, ...]
    scaling: Scaling
    rgb: tuple[int, int, int]
    dtype: str
    validity: Validity
    stretch: Limits | None
    palette: Palette | None
    size_bytes: int | None
    mtime: float | None
    files_sha256: str
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def nodata(self) -> tuple[float | None, ...]:
        """The nodata value of each data band, as used."""
        return self.validity.nodata

    @property
    def unit(self) -> str:
        """Unit of the data bands: their data type, or scaled by tags."""
        return unit_of(self.dtype, self.band_names, self.scaling)

    def in_order(self, names: Sequence[str]) -> Scene:
        """Return the scene with all its data bands in the order of these names."""
        if tuple(names) == self.band_names:
            return self
        at = [self.band_names.index(name) for name in names]
        return replace(
            self,
            band_names=tuple(names),
            data_bands=tuple(self.data_bands[i] for i in at),
            scaling=tuple(self.scaling[i] for i in at),
            validity=replace(self.validity, nodata=tuple(self.nodata[i] for i in at)),
        )

    def as_colour(self, names: Sequence[str]) -> Scene:
        """Return a scene of one band as one of several equal bands of these names."""
        count = len(names)
        return replace(
            self,
            band_names=tuple(names),
            data_bands=self.data_bands * count,
            scaling=self.scaling * count,
            validity=replace(self.validity, nodata=self.nodata * count),
        )

    @property
    def names_in_file(self) -> tuple[str, ...]:
        """Names of the data bands, in the order of the file."""
        if self.palette is not None:
            return self.band_names
        return tuple(name for _, name in sorted(zip(self.data_bands, self.band_names, strict=True)))

    @property
    def layers(self) -> Layers:
        """Layers to read of the file for each window."""
        return Layers(self.data_bands, self.validity.alpha, self.validity.masks, self.palette)

    @property
    def rgb_positions(self) -> tuple[int, ...]:
        """Positions of the three bands that SAM sees among the data bands, from 0."""
        return rgb_positions(self.data_bands, self.rgb, self.palette)

    @property
    def shown_limits(self) -> tuple[float, ...]:
        """Limits of the stretch in the scene's own units: low and high of each band of `rgb`.

        Empty if stored values, or the colours of a palette, are shown as they are.
        """
        if self.stretch is None or self.palette is not None:
            return ()
        tags = (self.scaling[i] for i in self.rgb_positions)
        limits = zip(tags, self.stretch, strict=True)
        return tuple(value * scale + offset for (scale, offset), pair in limits for value in pair)

    def displayed(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the colours that SAM sees for values of the data bands.

        Parameters
        ----------
        values : ndarray of float64, shape (n, B)
            In the scene's own units, by its scale and offset tags; finite.

        Returns
        -------
        ndarray of uint8, shape (n, 3)
        """
        seen = list(self.rgb_positions)
        scale, offset = np.array([self.scaling[i] for i in seen]).T
        stored = (values[:, seen] - offset) / scale
        if self.stretch is None:
            stored = np.clip(np.rint(stored), 0, 255)
        return apply_stretch(stored.T.astype(np.float32), self.stretch)


@dataclass(frozen=True)
class TilePixels:
    """The pixels of a window.

    Attributes
    ----------
    image : numpy.ndarray
        uint8 (H, W, 3), what SAM sees; 0 where invalid.
    bands : numpy.ndarray
        float32 (B, H, W), the data bands in the scene's own units, by its scale and offset tags;
        0 where invalid.
    valid : numpy.ndarray
        bool (H, W).
    """

    image: NDArray[np.uint8]
    bands: NDArray[np.float32]
    valid: NDArray[np.bool_]


def read_tile(scene: Scene, window: Window) -> TilePixels:
    """Read a window at full resolution.

    Parameters
    ----------
    scene : Scene
    window : rasterio.windows.Window
        Whole pixels inside the scene.

    Raises
    ------
    SceneError
        If a block cannot be read.
    ValueError
        If the window reaches outside the scene.
    """
    return _finish(scene, *_read_window(scene, window))


def read_stored_tile(scene: Scene, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a window at full resolution, before scale tags.

    Parameters and errors are those of `read_tile`.

    Returns
    -------
    bands : ndarray of float32, shape (B, H, W)
        Stored values of the data bands; 0 where invalid.
    valid : ndarray of bool, shape (H, W)
    """
    stored, centres = _read_window(scene, window)
    return as_stored(stored, scene.validity, centres)


def _read_window(scene: Scene, window: Window) -> tuple[Pixels, PixelCentres]:
    top, left = window.row_off, window.col_off
    bottom, right = top + window.height, left + window.width
    if top < 0 or left < 0 or bottom > scene.height or right > scene.width:
        raise ValueError(f"{window} reaches outside a scene of {scene.shape} pixels")
    with opened_scene(scene.path) as dataset:
        stored = read_layers(dataset, scene.path, scene.layers, window)
    return stored, PixelCentres.of_window(window, scene.shape)


def read_overview(scene: Scene, max_size: int) -> TilePixels:
    """Read the whole scene, decimated so that its longest side is at most `max_size` pixels.

    Pixels keep their shape, square or not, and are picked by nearest neighbour; damaged parts of
    the file are invalid.

    Raises
    ------
    SceneError
        If nothing of the file can be read.
    """
    shape = fit(scene.shape, max_size)
    with opened_scene(scene.path) as dataset:
        stored = read_whole(dataset, scene.path, scene.layers, shape)
    return _finish(scene, stored, PixelCentres.of_whole(shape))


def read_stored(scene: Scene, max_size: int) -> NDArray[np.float32]:
    """Read valid pixels of the whole scene, decimated as in `read_overview`, before scale tags.

    Returns
    -------
    ndarray of float32, shape (B, n)
        Stored values of the data bands.

    Raises
    ------
    SceneError
        If nothing of the file can be read.
    """
    shape = fit(scene.shape, max_size)
    with opened_scene(scene.path) as dataset:
        stored = read_whole(dataset, scene.path, scene.layers, shape)
    bands, valid = as_stored(stored, scene.validity, PixelCentres.of_whole(shape))
    return bands[:, valid]


def fit(shape: tuple[int, int], max_size: int) -> tuple[int, int]:
    """Scale a shape until its longest side is at most `max_size`; no side becomes 0."""
    scale = min(1.0, max_size / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def rgb_positions(
    data_bands: tuple[int, ...], rgb: tuple[int, ...], palette: Palette | None
) -> tuple[int, ...]:
    """Find the three bands that SAM sees among the data bands, from 0."""
    return (0, 1, 2) if palette is not None else tuple(data_bands.index(band) for band in rgb)


def as_stored(
    stored: Pixels, validity: Validity, centres: PixelCentres
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Turn pixels into float32 (B, H, W), 0 where invalid, and their valid mask (H, W).

    Values are those of the file before scale and offset, as nodata, collars and stretch are.
    """
    valid = stored.readable & valid_pixels(
        validity, stored.bands, stored.alpha, stored.masks, centres
    )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf, and so invalid
        bands = stored.bands.astype(np.float32)
    valid &= np.isfinite(bands).all(axis=0)
    bands[:, ~valid] = 0
    return bands, valid


def _finish(scene: Scene, stored: Pixels, centres: PixelCentres) -> TilePixels:
    bands, valid = as_stored(stored, scene.validity, centres)
    image = apply_stretch(bands[list(scene.rgb_positions)], scene.stretch)
    if any(tag != UNSCALED for tag in scene.scaling):
        bands = to_units(stored.bands, scene.scaling)
        valid &= np.isfinite(bands).all(axis=0)
        bands[:, ~valid] = 0
    image[~valid] = 0
    return TilePixels(image, bands, valid)
