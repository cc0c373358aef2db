"""The fit of a projection: columns standardised, and their groups weighted against each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.preprocessing import StandardScaler

from alps_geo.clusters.projection import Projection
from alps_geo.clusters.threads import one_thread
from alps_geo.errors import RunError
from alps_geo.features.columns import batches, group_of
from alps_geo.features.registry import find_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.columns import Table

COMPONENTS = 16
"""Principal components that stand for the embedding of SAM, or of another backbone."""

_NO_SPREAD = 1e-7
"""Standard deviations below this are nothing but rounding."""


def project_alone(table: Table) -> NDArray[np.float32]:
    """Project the rows of a table as if clusters were fitted to it alone, by weighted columns.

    Parameters
    ----------
    table : Table
        With a row at least.

    Returns
    -------
    ndarray of float32, shape (n, P)
    """
    with one_thread():
        projection = fit_projection([table], raw=False)
    return np.concatenate([projection.project(c).astype(np.float32) for c in batches(table)])


def fit_projection(tables: Sequence[Table], *, raw: bool) -> Projection:
    """Fit the standardisation of the columns that all tables have, and weight their groups.

    Raises
    ------
    RunError
        If there is no such column.
    """
    names = tuple(name for name in tables[0].names if all(name in t.names for t in tables))
    if not names:
        raise RunError(
            "the scenes have no feature in common (they have other bands); "
            "expected at least one: add sam or texture to --features"
        )
    kinds = tuple(dict.fromkeys(table.kind for table in tables))
    shape = (len(kinds), len(names))
    identity = np.eye(len(names))
    if raw:
        return Projection(names, kinds, np.zeros(shape), np.ones(shape), identity)
    scalers = [_scaler([t for t in tables if t.kind == kind], names) for kind in kinds]
    mean = np.stack([scaler.mean_ for scaler in scalers])
    scale = np.stack([scaler.scale_ for scaler in scalers])
    standard = Projection(names, kinds, mean, scale, identity)
    return replace(standard, matrix=group_projection(names, _covariance(standard, tables)))


def _scaler(tables: Sequence[Table], names: Sequence[str]) -> StandardScaler:
    """Measure level and spread of the columns over all rows."""
    scaler = StandardScaler()
    for table in tables:
        for columns in batches(table):
            scaler.partial_fit(columns.select(names).astype(np.float64))
    return scaler


def _covariance(standard: Projection, tables: Sequence[Table]) -> NDArray[np.float64]:
    """Measure the covariance of the standardised columns: their mean is 0."""
    total, count = np.zeros((len(standard.column_names),) * 2), 0
    for table in tables:
        for columns in batches(table):
            rows = standard.standardize(columns)
            total += rows.T @ rows
            count += len(rows)
    return total / count


def group_projection(names: Sequence[str], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight groups of columns against each other.

    Each group is scaled to the weight of its `alps_geo.features.group.Part`: the sum of the
    variances of its projected columns is the weight squared, however many columns there are. Means
    of the bands yield themselves and their contrast, the differences to the mean of all bands,
    which hold the colour apart from brightness. Embeddings yield their principal components.

    Parameters
    ----------
    names : sequence of str
        Names of the C columns, ``group.column``.
    covariance : ndarray of float64, shape (C, C)
        Of the standardised columns.

    Returns
    -------
    ndarray of float64, shape (C, P)
    """
    groups = np.array([group_of(name) for name in names])
    parts = []
    for group in dict.fromkeys(groups.tolist()):
        members = np.flatnonzero(groups == group)
        inside = covariance[np.ix_(members, members)]
        for weight, matrix in _group_matrices(group, inside):
            spread = np.sqrt(np.maximum(_variances(matrix, inside).sum(), 0))
            if spread > _NO_SPREAD:
                part = np.zeros((len(names), matrix.shape[1]))
                part[members] = matrix * (weight / spread)
                parts.append(part)
    return np.hstack(parts) if parts else np.eye(len(names))


def _variances(matrix: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of each column that `matrix` makes of columns of this covariance."""
    return np.asarray(((covariance @ matrix) * matrix).sum(axis=0))


def _group_matrices(
    group: str, covariance: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.float64]]]:
    """Weight and matrix of each part that a group of standardised columns yields."""
    count = len(covariance)
    part = find_part(group)
    if part.is_embedding:
        _, vectors = np.linalg.eigh(covariance)
        yield part.weight, vectors[:, ::-1][:, :COMPONENTS]
        return
    yield part.weight, np.eye(count)
    if part.contrast is not None and count > 1:
        contrast = np.eye(count) - 1 / count
        spread = np.sqrt(np.maximum(_variances(contrast, covariance), 0))
        yield part.contrast, contrast / np.where(spread > _NO_SPREAD, spread, np.inf)
