"""A feature group: named columns of segments, and everything that they take."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.features.sums import SQUARES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.images import CorePixels
    from alps_geo.features.sums import RegionSums

    NamedColumns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class PixelSum:
    """A named sum over the pixels of each segment.

    Attributes
    ----------
    name : str
        Its name in `alps_geo.features.sums.RegionSums`. Groups that need the same sum share it.
    images : callable
        Images to add up: float (D, h, w) over a core, finite at valid pixels. A pixel of them may
        depend on the scene's pixels around it, and on nothing else, so that tiles leave no seams.
    width : callable
        Number of images, D, for a number of bands.
    reach : int
        How far around a pixel the images look, in pixels.
    """

    name: str
    images: Callable[[CorePixels], NDArray[np.floating]]
    width: Callable[[int], int]
    reach: int = 0


SQUARE_SUM = PixelSum(
    SQUARES, lambda pixels: np.asarray(pixels.core_bands**2), width=lambda bands: bands
)
"""Sum of the squares of the bands."""


@dataclass(frozen=True)
class Part:
    """Columns of a common prefix, which k-means weights together.

    Attributes
    ----------
    prefix : str
        Their names begin with it, and a dot.
    weight : float
        How much they count, however many they are: the standard deviation of the projected columns
        together.
    contrast : float or None
        Weight of the differences between each of them and their mean; None to leave these out.
    is_embedding : bool
        True if principal components stand for them.
    """

    prefix: str
    weight: float
    contrast: float | None = None
    is_embedding: bool = False


@dataclass(frozen=True)
class FeatureGroup:
    """A set of columns that a user can choose by name.

    Attributes
    ----------
    name : str
        One of ``--features``.
    columns : callable
        Makes named columns, ``prefix.column``, each (n,), of the sums of n segments and the names
        of the bands. It must be able to do so for n of 0.
    parts : tuple of Part
        One for each prefix.
    sums : tuple of PixelSum
        Sums that the columns are made of, apart from those of the bands, which are always there.
    embedding : str or None
        The embedding that the columns are made of, a field of
        `alps_geo.features.embeddings.Embeddings`, whose sum has the same name.
    in_band_units : bool
        True if the columns are in the units of the bands, and so can be compared between scenes of
        one kind only.
    earlier_names : mapping of str to str
        Present names of columns by those that an earlier version stored.
    """

    name: str
    columns: Callable[[RegionSums, Sequence[str]], NamedColumns]
    parts: tuple[Part, ...]
    sums: tuple[PixelSum, ...] = ()
    embedding: str | None = None
    in_band_units: bool = False
    earlier_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
