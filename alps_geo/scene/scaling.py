"""Scale and offset tags, which turn stored numbers into physical units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.scene.bands import BandChoice

UNSCALED = (1.0, 0.0)
"""Scale and offset of a band whose numbers are its values."""

SCALED = "scaled"
"""Unit of bands with such tags, whatever data type they are stored in."""

Scaling = tuple[tuple[float, float], ...]


def scaling_of(dataset: DatasetReader, choice: BandChoice) -> Scaling:
    """Return scale and offset of each data band; `UNSCALED` where the tags are of no use.

    Colours that stand for the numbers of a paletted scene have no unit.
    """
    if _is_paletted(choice):
        return (UNSCALED,) * len(choice.names)
    return tuple(tag if _is_usable(tag) else UNSCALED for tag in _tags(dataset, choice))


def scaling_notes(dataset: DatasetReader, choice: BandChoice) -> Iterator[str]:
    """Report tags that are applied, and tags that `scaling_of` could not use."""
    if _is_paletted(choice):
        return
    found = dict(zip(choice.names, _tags(dataset, choice), strict=True))
    used = {name: tag for name, tag in found.items() if _is_usable(tag) and tag != UNSCALED}
    if used:
        name, (scale, offset) = next(iter(used.items()))
        alike = len(set(used.values())) == 1
        whose = "" if alike and len(used) == len(found) else f" for {name}"
        more = "" if len(used) == 1 or not whose else " and the like"
        yield (
            f"scale and offset tags of the file are applied ({scale:.12g} and {offset:.12g}"
            f"{whose}{more}): clusters and mean_ attributes are in these units"
        )
    for name, tag in found.items():
        if not _is_usable(tag):
            yield (
                f"scale {tag[0]:g} and offset {tag[1]:g} of {name} are ignored, "
                "expected finite numbers and a scale other than 0"
            )


def _is_paletted(choice: BandChoice) -> bool:
    return len(choice.names) != len(choice.data)


def _tags(dataset: DatasetReader, choice: BandChoice) -> Scaling:
    return tuple((dataset.scales[band - 1], dataset.offsets[band - 1]) for band in choice.data)


def _is_usable(tag: tuple[float, float]) -> bool:
    return math.isfinite(tag[0]) and math.isfinite(tag[1]) and tag[0] != 0


def unit_of(dtype: str, names: Sequence[str], scaling: Scaling) -> str:
    """Name the unit of the bands: scaled values are of one unit, others are of their data type.

    The order of the bands makes no difference.
    """
    plain = sorted(name for name, tag in zip(names, scaling, strict=True) if tag == UNSCALED)
    if len(plain) == len(names):
        return dtype
    return f"{SCALED}, but {' '.join(plain)} as {dtype}" if plain else SCALED


def to_units(bands: NDArray[Any], scaling: Scaling) -> NDArray[np.float32]:
    """Apply scale and offset to stored values, in float64.

    Parameters
    ----------
    bands : numpy.ndarray
        (B, H, W), as they are stored.
    scaling : tuple of (scale, offset)
        One per band.

    Returns
    -------
    numpy.ndarray
        float32 (B, H, W); infinite where float32 cannot hold the value.
    """
    values = np.empty(bands.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for value, band, (scale, offset) in zip(values, bands, scaling, strict=True):
            value[...] = band.astype(np.float64) * scale + offset
    return values
