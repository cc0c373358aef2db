"""One pass over ranges of rows gives the projection that scikit-learn gives of all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from cluster_tables import table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from alps_geo.clusters.moments import Moments
from alps_geo.clusters.scaling import fit_projection, group_projection, project_alone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.features.columns import Columns

OFFSETS = (0.0, -3.0, 300.0, 6e4)


def check_close(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def some_rows(count: int, seed: int) -> NDArray[np.float64]:
    """Columns of float32 numbers: offsets and spreads, two alike, and two constant ones last."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(1, 9, (4, 1)) * rng.normal(size=(4, count))
    rows = [row + offset for row, offset in zip(spread, OFFSETS, strict=True)]
    constant = [np.full(count, 0.0), np.full(count, 6e4 + 0.1)]
    rows = [*rows, rows[1] + 0.3 * spread[0], *constant]
    return np.stack(rows, axis=1).astype(np.float32).astype(np.float64)


def tables_of(sizes: list[int], kinds: list[str], seed: int) -> list[Columns]:
    rows = [some_rows(size, seed + index) for index, size in enumerate(sizes)]
    return [table(each, kind=kind) for each, kind in zip(rows, kinds, strict=True)]


def by_scikit_learn(
    tables: list[Columns],
) -> tuple[dict[str, StandardScaler], NDArray[np.float64]]:
    """Scaler of each kind, and the covariance of all rows that these have standardised."""
    kinds = dict.fromkeys(each.kind for each in tables)
    scalers = {
        kind: StandardScaler().fit(np.vstack([each.values for each in tables if each.kind == kind]))
        for kind in kinds
    }
    standard = np.vstack([scalers[each.kind].transform(each.values) for each in tables])
    return scalers, standard.T @ standard / len(standard)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.data(), st.integers(0, 999))
def test_one_pass_gives_the_projection_of_scikit_learn(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    kinds = data.draw(
        st.lists(st.sampled_from(["a", "b"]), min_size=len(sizes), max_size=len(sizes))
    )
    tables = tables_of(sizes, kinds, seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alps_geo.features.columns.BATCH_ROWS", 7)
        found = fit_projection(tables, raw=False)
    scalers, covariance = by_scikit_learn(tables)
    assert found.kinds == tuple(scalers)
    for kind, mean, scale in zip(found.kinds, found.mean, found.scale, strict=True):
        check_close(mean, scalers[kind].mean_)
        check_close(scale, scalers[kind].scale_)
        assert scale[-2:].tolist() == [1, 1]
    expected = group_projection(found.column_names, covariance)
    check_close(found.matrix, expected)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    rows = some_rows(500, 5)
    first, *others = (Moments.of(part) for part in np.split(rows, [1, 2, 250, 499]))
    for each in others:
        first = first.joined(each)
    exact = rows.astype(np.longdouble)
    centred = exact - exact.mean(axis=0)
    scatter = (centred.T @ centred).astype(np.float64)
    assert first.count == 500
    np.testing.assert_allclose(first.mean, exact.mean(axis=0).astype(np.float64), rtol=1e-13)
    # Offsets are so large that squares of the values would lose most digits of the spread.
    size = np.sqrt(np.outer(np.diagonal(scatter), np.diagonal(scatter)))[:5, :5]
    assert (np.abs(first.scatter - scatter)[:5, :5] <= 1e-10 * size).all()


def test_a_table_alone_is_projected_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alps_geo.features.columns.BATCH_ROWS", 7)
    columns = table(some_rows(50, 2))
    expected = fit_projection([columns], raw=False).project(columns)
    found = project_alone(columns)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
