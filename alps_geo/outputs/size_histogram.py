"""Histograms of the sizes of segments over a logarithmic axis, the same for all clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS_PER_DECADE = 5


@dataclass(frozen=True)
class SizeAxis:
    """A logarithmic axis of areas.

    Attributes
    ----------
    edges : tuple of float
        Edges of the bins, ascending.
    unit : str
        Unit of the areas.
    """

    edges: tuple[float, ...]
    unit: str

    @classmethod
    def of(cls, areas: NDArray[np.float64], unit: str) -> SizeAxis:
        """Make an axis on which all areas lie; areas that are not positive do not count."""
        known = areas[areas > 0]
        low, high = (known.min(), known.max()) if len(known) else (1.0, 10.0)
        first = math.floor(math.log10(low) * _BINS_PER_DECADE - 1e-9)
        last = math.floor(math.log10(high) * _BINS_PER_DECADE) + 1
        return cls(tuple(10 ** (i / _BINS_PER_DECADE) for i in range(first, last + 1)), unit)

    def count(self, areas: NDArray[np.float64]) -> tuple[int, ...]:
        """Count the areas in each bin."""
        return tuple(np.histogram(areas, self.edges)[0].tolist())

    @property
    def decades(self) -> tuple[tuple[float, str], ...]:
        """Powers of ten on the axis: position between 0 and 1, and label."""
        low, high = math.log10(self.edges[0]), math.log10(self.edges[-1])
        powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
        return tuple(
            ((power - low) / (high - low), f"{10.0**power:,.{max(0, -power)}f}") for power in powers
        )
