"""Which pixels of a scene are data: nodata, alpha, .msk, NaN, and collars that carry no tag.

`dataset_mask` of rasterio is not used: it takes a near infrared band that is tagged as alpha for
transparency, and lets only one of several signs count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import distance_transform_edt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.scene.collar import Collar, Place

_HUGE = 1e30


@dataclass(frozen=True)
class Validity:
    """How it is decided which pixels of a scene are valid.

    Attributes
    ----------
    nodata : tuple of (float or None)
        One per data band.
    alpha : tuple of int
        Bands that are true alpha, counted from 1: a pixel is invalid where any is 0.
    masks : tuple of int
        Bands whose GDAL mask (.msk or internal) counts, from 1: invalid where all are 0.
    collar : Collar, optional
        An untagged collar, taken as nodata.
    """

    nodata: tuple[float | None, ...]
    alpha: tuple[int, ...]
    masks: tuple[int, ...]
    collar: Collar | None


def valid_pixels(
    rule: Validity,
    bands: NDArray[Any],
    alpha: NDArray[Any],
    masks: NDArray[np.uint8],
    place: Place,
) -> NDArray[np.bool_]:
    """Decide which pixels are valid.

    NaN and inf in any data band are invalid. So is a pixel that holds nodata in all data bands;
    where nodata cannot be a measurement (-9999, but not 0 or 255) one band is enough.

    Parameters
    ----------
    rule : Validity
    bands, alpha, masks : numpy.ndarray
        (n, H, W), the data bands in the file's dtype, alpha bands and GDAL masks.
    place : Place
        Centres of the H rows and W columns.

    Returns
    -------
    numpy.ndarray
        bool (H, W).
    """
    valid = (alpha > 0).all(axis=0)
    if len(masks):
        valid &= (masks > 0).any(axis=0)
    if np.issubdtype(bands.dtype, np.floating):
        valid &= np.isfinite(bands).all(axis=0)
    valid &= ~_is_nodata(bands, rule.nodata)
    if rule.collar is not None:
        valid &= ~rule.collar.covers(bands, place)
    return valid


def _is_nodata(bands: NDArray[Any], nodata: tuple[float | None, ...]) -> NDArray[np.bool_]:
    in_any = np.zeros(bands.shape[1:], np.bool_)
    tagged = [
        (band, value)
        for band, value in zip(bands, nodata, strict=True)
        if value is not None and not np.isnan(value)
    ]
    in_all = np.full(bands.shape[1:], fill_value=False)
    possible = [_equals(band, value) for band, value in tagged if not _never_measured(band, value)]
    if possible:
        in_all = np.logical_and.reduce(possible)
    for band, value in tagged:
        if _never_measured(band, value):
            in_any |= _equals(band, value)
    return np.asarray(in_all | in_any)


def _never_measured(band: NDArray[Any], value: float) -> bool:
    """Whether a nodata value is one that no sensor writes: negative, or huge."""
    return band.dtype.kind != "u" and (value < 0 or value >= np.iinfo(np.int16).max)


def _equals(band: NDArray[Any], value: float) -> NDArray[np.bool_]:
    if band.dtype.kind == "f":
        # The tag is decimal text; the lowest float32 is often cut to -3.4028e38.
        digits = 1e-4 if abs(value) > _HUGE else 1e-6
        return np.asarray(np.isclose(band, value, rtol=digits, atol=0))
    same: NDArray[np.bool_] = band == band.dtype.type(value)
    return same


def can_hold(dtype: np.dtype[Any], value: float) -> bool:
    """Whether pixels of `dtype` can have `value` at all."""
    if dtype.kind == "f":
        return True
    info = np.iinfo(dtype)
    return float(value).is_integer() and info.min <= value <= info.max


def fill_invalid(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give each invalid pixel the colours of the valid one nearest to it.

    An encoder looks far around each place: beside a black collar it takes half of a lake for
    something else than the other half, and prompts near it find the collar's edge.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    valid : ndarray of bool, shape (H, W)

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        `image` itself if all of it is valid, or nothing.
    """
    if valid.all() or not valid.any():
        return image
    row, col = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    filled: NDArray[np.uint8] = image[row, col]
    return filled
