"""The fit of a projection: columns standardised, and their groups weighted against each other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.clusters.moments import Moments
from alps_geo.clusters.passes import map_rows, row_ranges
from alps_geo.clusters.projection import Projection
from alps_geo.clusters.threads import one_thread
from alps_geo.errors import RunError
from alps_geo.features.columns import group_of
from alps_geo.features.mapping import HERE
from alps_geo.features.registry import find_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.columns import Columns, Table
    from alps_geo.features.mapping import Mapper

COMPONENTS = 16
"""Principal components that stand for the embedding of SAM, or of another backbone."""

_NO_SPREAD = 1e-7
"""Standard deviations below this are nothing but rounding."""


def project_alone(table: Table, mapper: Mapper = HERE) -> NDArray[np.float32]:
    """Project the rows of a table as if clusters were fitted to it alone, by weighted columns.

    Parameters
    ----------
    table : Table
        With a row at least.
    mapper : Mapper
        Maps both passes over the rows.

    Returns
    -------
    ndarray of float32, shape (n, P)
    """
    with one_thread():
        projection = fit_projection([table], raw=False, mapper=mapper)
    rows = np.empty((len(table), projection.matrix.shape[1]), dtype=np.float32)
    found = map_rows(partial(_projected, projection), [table], mapper)
    for (_, start, stop), part in zip(row_ranges([table]), found, strict=True):
        rows[start:stop] = part
    return rows


def fit_projection(tables: Sequence[Table], *, raw: bool, mapper: Mapper = HERE) -> Projection:
    """Fit the standardisation of the columns that all tables have, and weight their groups.

    Parameters
    ----------
    tables : sequence of Table
        At least one, each with a row at least.
    raw : bool
        True to compare the columns as they are.
    mapper : Mapper
        Maps the one pass over the rows.

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
    if raw:
        return Projection(names, kinds, np.zeros(shape), np.ones(shape), np.eye(len(names)))
    measured: dict[str, Moments] = {}
    for kind, moments in map_rows(partial(_measured, names), tables, mapper):
        measured[kind] = measured[kind].joined(moments) if kind in measured else moments
    found = [measured[kind] for kind in kinds]
    return Projection(
        names,
        kinds,
        mean=np.stack([each.mean for each in found]),
        scale=np.stack([each.scale for each in found]),
        matrix=group_projection(names, _covariance(found)),
    )


def _measured(names: Sequence[str], columns: Columns) -> tuple[str, Moments]:
    """Measure level and spread of some columns; return the kind of scene too."""
    return columns.kind, Moments.of(columns.select(names))


def _projected(projection: Projection, columns: Columns) -> NDArray[np.float32]:
    return projection.project(columns).astype(np.float32)


def _covariance(found: Sequence[Moments]) -> NDArray[np.float64]:
    """Covariance of the columns of all kinds of scenes, each standardised by itself."""
    scatter = sum(each.scatter / np.outer(each.scale, each.scale) for each in found)
    return np.asarray(scatter / sum(each.count for each in found))


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
