"""The projection of columns into the space in which segments are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.threads import one_thread
from alps_geo.features.kinds import check_known

if TYPE_CHECKING:
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
