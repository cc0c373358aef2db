"""Linear stretch of a whole scene from its bands' units to the 8 bits that SAM sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

AUTOMATIC = (2.0, 98.0)

Limits = tuple[tuple[float, float], ...]


def stretch_limits(values: Iterable[NDArray[Any]], percentiles: tuple[float, float]) -> Limits:
    """Return the values that become 0 and 255, for each band.

    Parameters
    ----------
    values : iterable of numpy.ndarray
        The valid values of each band, (n,) each, n >= 1.
    percentiles : tuple of float
        The percentiles that become 0 and 255.
    """
    return tuple(_limits(band, percentiles) for band in values)


def automatic_limits(
    seen: NDArray[np.float32], dtype: str, percentiles: tuple[float, float] | None
) -> Limits | None:
    """Return the limits of the stretch of valid pixels.

    Parameters
    ----------
    seen : ndarray of float32, shape (3, n)
        Stored red, green and blue of valid pixels, n >= 1.
    dtype : str
        Data type of the file.
    percentiles : tuple of float, optional
        Percentiles that become 0 and 255. Without them, those of `AUTOMATIC`, but 8-bit values
        stay as they are: None is returned.
    """
    if percentiles is None and dtype == "uint8":
        return None
    return stretch_limits(seen, percentiles or AUTOMATIC)


def _limits(values: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    low, high = np.percentile(values.astype(np.float64), percentiles).tolist()
    if low == high:  # a rare bright object on an even ground is still worth seeing
        low, high = float(values.min()), float(values.max())
    return low, high


def apply_stretch(bands: NDArray[np.float32], limits: Limits | None) -> NDArray[np.uint8]:
    """Make the image that SAM sees.

    Parameters
    ----------
    bands : numpy.ndarray
        float32 (3, H, W), red, green and blue in their own units, finite.
    limits : tuple of (low, high), or None
        None leaves 8-bit values as they are. A band whose two limits are equal becomes mid-grey.

    Returns
    -------
    numpy.ndarray
        uint8 (H, W, 3).
    """
    image = np.empty((*bands.shape[1:], 3), np.uint8)
    for channel, band in enumerate(bands):
        if limits is None:
            image[..., channel] = band
            continue
        low, high = limits[channel]
        if low == high:
            image[..., channel] = 128
            continue
        scaled = (band.astype(np.float64) - low) * (255 / (high - low))
        image[..., channel] = np.rint(np.clip(scaled, 0, 255))
    return image
