"""Size, elongation and ellipticity, all from moments.

Elongation is that of the ellipse of equal moments. Ellipticity is the segment's area over that of
this ellipse: 1 for an ellipse, less for a ragged, hollow or scattered segment. It is the root of
the measure in Rosin 2003, "Measuring shape: ellipticity, rectangularity, and triangularity".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.group import FeatureGroup, Part, PixelSum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.features.group import NamedColumns
    from alps_geo.features.images import CorePixels
    from alps_geo.features.sums import RegionSums


def moment_images(shape: tuple[int, int], origin: tuple[int, int]) -> NDArray[np.float64]:
    """Images of row, col, row², col² and row · col.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the images.
    origin : (int, int)
        The scene's row and column of pixel (0, 0).

    Returns
    -------
    ndarray of float64, shape (5, height, width)
    """
    row, col = np.indices(shape, np.float64) + np.reshape(origin, (2, 1, 1))
    return np.stack([row, col, row * row, col * col, row * col])


def _images(pixels: CorePixels) -> NDArray[np.float64]:
    return moment_images((pixels.core.height, pixels.core.width), pixels.origin)


def _columns(segments: RegionSums, _: Sequence[str]) -> NamedColumns:
    row, col, row_row, col_col, row_col = segments.mean("moments").T
    # A pixel is a square of variance 1/12, not a point.
    rows = np.maximum(row_row - row * row, 0) + 1 / 12
    cols = np.maximum(col_col - col * col, 0) + 1 / 12
    cross = row_col - row * col
    middle = (rows + cols) / 2
    half = np.sqrt(np.maximum(((rows - cols) / 2) ** 2 + cross**2, 0))
    major, minor = middle + half, np.maximum(middle - half, 1 / 12)
    return {
        "shape.size": np.log(segments.area),
        "shape.elongation": 0.5 * np.log(major / minor),
        "shape.ellipticity": segments.area / (4 * np.pi * np.sqrt(major * minor)),
    }


GROUP = FeatureGroup(
    "shape",
    _columns,
    (Part("shape", weight=0.3),),
    sums=(PixelSum("moments", _images, width=lambda _: 5),),
    earlier_names={"shape.solidity": "shape.ellipticity"},
)
