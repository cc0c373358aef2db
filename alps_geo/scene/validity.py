"""Valid pixels of a scene: nodata, alpha, .msk, NaN, and collars that carry no tag.

`dataset_mask` of rasterio is not used: it takes a near infrared band that is tagged as alpha for
transparency, and lets only one of several signs count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import distance_transform_edt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alps_geo.scene.collar import Collar, PixelCentres

# No sensor measures values beyond this; the lowest and highest float32 mark missing pixels.
HUGE = 1e30
# So does this one: rasterio writes a tag of it that GDAL reads as -9.
LOWEST_INT64 = int(np.iinfo(np.int64).min)


@dataclass(frozen=True)
class Validity:
    """Rule by which pixels of a scene are valid.

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
    centres: PixelCentres,
) -> NDArray[np.bool_]:
    """Decide which pixels are valid.

    NaN, inf, values beyond `HUGE` and `LOWEST_INT64` in any data band are invalid. So is a pixel
    that holds nodata in all data bands; where nodata cannot be a measurement (-9999, but not 0 or
    255) one band is enough.

    Parameters
    ----------
    rule : Validity
    bands, alpha, masks : numpy.ndarray
        (n, H, W), the data bands in the file's dtype, alpha bands and GDAL masks.
    centres : PixelCentres
        Centres of the H rows and W columns.

    Returns
    -------
    numpy.ndarray
        bool (H, W).
    """
    valid = (alpha > 0).all(axis=0)
    if len(masks):
        valid &= (masks > 0).any(axis=0)
    if _may_be_unmeasurable(bands.dtype):
        valid &= ~_unmeasurable(bands).any(axis=0)
    valid &= ~_is_nodata(bands, rule.nodata)
    if rule.collar is not None:
        valid &= ~rule.collar.covers(bands, centres)
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
    """Return True if a nodata value is one that no sensor writes: negative, or huge."""
    return band.dtype.kind != "u" and (value < 0 or value >= np.iinfo(np.int16).max)


def missing_in_band(band: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Find pixels of one band that are invalid whatever the other bands hold.

    Parameters
    ----------
    band : numpy.ndarray
        Any shape, in the file's dtype.
    nodata : float or None
        The band's nodata value.

    Returns
    -------
    numpy.ndarray
        bool, of the shape of `band`.
    """
    missing = np.zeros(band.shape, np.bool_)
    if _may_be_unmeasurable(band.dtype):
        missing |= _unmeasurable(band)
    if nodata is not None and not np.isnan(nodata) and _never_measured(band, nodata):
        missing |= _equals(band, nodata)
    return missing


def huge_notes(bands: NDArray[Any], nodata: tuple[float | None, ...]) -> Iterator[str]:
    """Report values that no sensor measures in bands whose nodata tag is no such value."""
    for band, tag in zip(bands, nodata, strict=True):
        if tag is not None and (abs(tag) > HUGE or tag == LOWEST_INT64):
            continue
        if band.dtype == np.int64 and (band == LOWEST_INT64).any():
            yield f"{LOWEST_INT64}, the lowest 64-bit integer, is taken as nodata"
            return
        if band.dtype.kind != "f":
            continue
        huge = band[np.isfinite(band) & (np.abs(band) > HUGE)]
        if huge.size:
            yield f"values beyond {HUGE:g}, such as {huge[0]:g}, are taken as nodata"
            return


def _may_be_unmeasurable(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype == np.int64


def _unmeasurable(bands: NDArray[Any]) -> NDArray[np.bool_]:
    """Find NaN, inf, values beyond `HUGE`, and `LOWEST_INT64`."""
    if bands.dtype == np.int64:
        return np.asarray(bands == LOWEST_INT64)
    return np.asarray(~(np.abs(bands) <= HUGE))


def _equals(band: NDArray[Any], value: float) -> NDArray[np.bool_]:
    if band.dtype.kind == "f":
        # The tag is decimal text, and GDAL lets float32 differ in the last two bits, 5e-7.
        return np.asarray(np.isclose(band, value, rtol=1e-6, atol=0))
    if band.dtype.itemsize == 8:
        # A float64, which the tag is read as, has not all digits of 64-bit integers.
        return np.asarray(band.astype(np.float64) == value)
    same: NDArray[np.bool_] = band == band.dtype.type(value)
    return same


def can_hold(dtype: np.dtype[Any], value: float) -> bool:
    """Return True if pixels of `dtype` can have `value`, up to the digits of a float64."""
    if dtype.kind == "f":
        return True
    info = np.iinfo(dtype)
    return float(value).is_integer() and float(info.min) <= value <= float(info.max)


def fill_invalid(image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give each invalid pixel the colours of the valid one nearest to it.

    An encoder looks far around each pixel: next to a black collar it takes half of a lake for
    another thing than the other half, and prompts near it find the collar's edge.

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
