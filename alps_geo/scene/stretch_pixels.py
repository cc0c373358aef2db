"""Valid pixels from all over a scene, by which its stretch is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError
from alps_geo.grid import TileGrid
from alps_geo.scene.collar import PixelCentres
from alps_geo.scene.raster import read_layers
from alps_geo.scene.read import as_stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.scene.raster import Layers, Palette, Pixels
    from alps_geo.scene.validity import Validity

SURVEY_SIDE = 2048
"""Longest side of the overview of a whole scene, in pixels."""

_FEW = 1000
"""With fewer valid pixels than this in the survey, the scene itself is searched for more."""


def read_stretch_pixels(
    dataset: DatasetReader, path: str, layers: Layers, survey: Pixels, validity: Validity
) -> NDArray[np.float32]:
    """Gather valid pixels from all over a scene, as they are stored.

    Parameters
    ----------
    dataset, path, layers, validity
        The scene, and the rules for reading it.
    survey : Pixels
        All of it, possibly decimated.

    Returns
    -------
    ndarray of float32, shape (B, n)
        One pixel at least.

    Raises
    ------
    SceneError
        If there is no valid pixel.
    """
    rows, cols = survey.readable.shape
    bands, valid = as_stored(survey, validity, PixelCentres.of_whole((rows, cols)))
    pixels = bands[:, valid]
    if pixels.shape[1] >= _FEW or (rows, cols) == dataset.shape:
        found = [pixels]
    else:
        found = list(_first_pixels(dataset, path, layers, validity))
    if any(part.size for part in found):
        return np.concatenate(found, axis=1)
    raise SceneError(
        f"{path} has no valid pixel ({_why_invalid(validity, layers.palette)}): expected some; "
        "if that is wrong, say what marks missing pixels with --nodata, or --nodata nan for none"
    )


def _first_pixels(
    dataset: DatasetReader, path: str, layers: Layers, validity: Validity
) -> Iterator[NDArray[np.float32]]:
    """Read a scene at full resolution until a few valid pixels are found."""
    count = 0
    for tile in TileGrid(dataset.height, dataset.width, SURVEY_SIDE, overlap=0):
        try:
            pixels = read_layers(dataset, path, layers, tile.window)
        except SceneError:
            continue  # reported as damage already
        centres = PixelCentres.of_window(tile.window, dataset.shape)
        bands, valid = as_stored(pixels, validity, centres)
        yield bands[:, valid]
        count += int(valid.sum())
        if count >= _FEW:
            return


def _why_invalid(validity: Validity, palette: Palette | None) -> str:
    if validity.collar is not None:
        return "all are zero"
    signs = [f"nodata is {value:g}" for value in validity.nodata[:1] if value is not None]
    signs += [f"band {band} is alpha" for band in validity.alpha]
    signs += ["it has a mask"] * bool(validity.masks)
    signs += ["its colours are transparent"] * (palette is not None)
    return ", ".join(signs) or "all are NaN or infinite"
