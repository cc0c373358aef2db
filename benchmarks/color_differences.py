"""Differences of colours, measured by other libraries than those that choose them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

with warnings.catch_warnings():
    # Its docstrings hold escapes that are none.
    warnings.simplefilter("ignore", DeprecationWarning)
    from colorspacious import cspace_convert

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = {"normal sight": None, "protanopia": "protanomaly", "deuteranopia": "deuteranomaly"}
"""Kinds of sight, and colorspacious's names of the anomalies of which they are the whole."""


def lab_of(colors: NDArray[np.uint8], sight: str) -> NDArray[np.float64]:
    """Return CIELAB of colours, shape (n, 3), as colorspacious has somebody see them."""
    kind, values = KINDS[sight], colors / 255
    if kind is not None:
        space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
        values = np.clip(cspace_convert(values, space, "sRGB1"), 0, 1)
    lab: NDArray[np.float64] = rgb2lab(values[None])[0]
    return lab


def differences(colors: NDArray[np.uint8], sight: str) -> NDArray[np.float64]:
    """Return the differences of all pairs of colours in CIEDE2000, shape (n (n - 1) / 2,)."""
    lab = lab_of(colors, sight)
    one, other = np.triu_indices(len(colors), 1)
    found: NDArray[np.float64] = deltaE_ciede2000(lab[one], lab[other])  # type: ignore[no-untyped-call]
    return found
