"""The projection of columns into the space in which segments are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.clusters.arrays import numbers, texts
from alps_geo.clusters.threads import one_thread
from alps_geo.features.kinds import check_known
from alps_geo.features.registry import current_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alps_geo.features.columns import Columns


@dataclass(frozen=True)
class Projection:
    """Standardisation of columns by kind of scene, and their weighted projection.

    Attributes
    ----------
    column_names : tuple of str
        Names of the C columns that are compared.
    kinds : tuple of str
        The m known kinds of scene: see `alps_geo.features.columns.Columns`.
    mean, scale : ndarray of float64, shape (m, C)
        Columns are standardised to (column - mean) / scale of their kind of scene; 0 and 1 where
        raw columns are compared.
    matrix : ndarray of float64, shape (C, P)
        Turns standardised columns into P weighted ones.

    Raises
    ------
    ValueError
        If shapes disagree.
    """

    column_names: tuple[str, ...]
    kinds: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        columns = len(self.column_names)
        expected = (len(self.kinds), columns)
        if self.mean.shape != expected or self.scale.shape != expected:
            raise ValueError(
                f"mean has shape {self.mean.shape} and scale {self.scale.shape}, "
                f"expected {expected} for kinds and columns"
            )
        if self.matrix.ndim != 2 or len(self.matrix) != columns:
            raise ValueError(
                f"the projection has shape {self.matrix.shape}, expected {columns} rows"
            )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Projection:
        """Build a projection from the arrays of `to_arrays`, among those of a stored model.

        Raises
        ------
        KeyError
            If one is absent.
        ValueError
            If one is of another type, or shapes disagree.
        """
        return cls(
            column_names=current_names(texts(arrays["projection.column_names"])),
            kinds=texts(arrays["projection.kinds"]),
            mean=numbers(arrays["projection.mean"], np.float64),
            scale=numbers(arrays["projection.scale"], np.float64),
            matrix=numbers(arrays["projection.matrix"], np.float64),
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return plain arrays, by their names in a stored model."""
        return {
            "projection.column_names": np.array(self.column_names),
            "projection.kinds": np.array(self.kinds),
            "projection.mean": self.mean,
            "projection.scale": self.scale,
            "projection.matrix": self.matrix,
        }

    def standardize(self, columns: Columns) -> NDArray[np.float64]:
        """Standardise columns by the level and spread of their kind of scene.

        Returns
        -------
        ndarray of float64, shape (n, C)

        Raises
        ------
        RunError
            If the kind of scene is unknown.
        """
        check_known(columns.kind, self.kinds)
        kind = self.kinds.index(columns.kind)
        standard = columns.select(self.column_names) - self.mean[kind]
        standard /= self.scale[kind]
        return np.asarray(standard)

    def project(self, columns: Columns) -> NDArray[np.float64]:
        """Standardise columns and project them.

        Returns
        -------
        ndarray of float64, shape (n, P)

        Raises
        ------
        RunError
            If the kind of scene is unknown.
        """
        standard = self.standardize(columns)
        with one_thread():
            return np.asarray(standard @ self.matrix)
