import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from alps_geo.clusters import sampling
from alps_geo.clusters.projection import Projection
from alps_geo.features.columns import Columns

PLAIN = Projection(("texture.0",), ("rgb",), np.zeros((1, 1)), np.ones((1, 1)), np.eye(1))


def tables(sizes: list[int]) -> list[Columns]:
    """Tables whose rows are numbered from 0, from the first table to the last."""
    numbers = np.split(np.arange(sum(sizes), dtype=np.float64)[:, None], np.cumsum(sizes)[:-1])
    return [Columns("rgb", ("texture",), ("texture.0",), values) for values in numbers]


def listed(rows: NDArray[np.float64]) -> list[int]:
    return [int(row) for (row,) in rows]


SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(sum)


@given(SIZES, st.integers(1, 60), st.integers(0, 99))
def test_a_sample_has_different_rows_in_their_order(sizes: list[int], size: int, seed: int) -> None:
    rows = sampling.sample_rows(PLAIN, tables(sizes), size, np.random.default_rng(seed))
    found = listed(rows)
    assert found == sorted(set(found))
    assert len(found) == min(size, sum(sizes))
    assert set(found) <= set(range(sum(sizes)))


@given(SIZES, st.data())
def test_rows_are_picked_by_their_index_in_all_tables(
    sizes: list[int], data: st.DataObject
) -> None:
    chosen = data.draw(arrays.arrays(np.bool_, sum(sizes)))
    picked = np.flatnonzero(chosen)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alps_geo.features.columns.BATCH_ROWS", 7)
        assert listed(sampling.picked_rows(PLAIN, tables(sizes), picked)) == picked.tolist()


@given(SIZES, st.integers(1, 30), st.integers(1, 9), st.integers(0, 99))
def test_shuffled_batches_have_each_row_once_and_none_is_small(
    sizes: list[int], size: int, run: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sampling, "_RUN_ROWS", run)
        rng = np.random.default_rng(seed)
        found = [
            listed(rows) for rows in sampling.shuffled_batches(PLAIN, tables(sizes), size, rng)
        ]
    assert sorted(row for batch in found for row in batch) == list(range(sum(sizes)))
    total = sum(sizes)
    assert min(map(len, found)) >= min(size, total)
    assert max(map(len, found)) < 2 * size + run or len(found) == 1


@given(SIZES, st.integers(1, 60))
def test_ordered_batches_are_the_rows_in_their_order(sizes: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alps_geo.features.columns.BATCH_ROWS", 7)
        found = [listed(rows) for rows in sampling.ordered_batches(PLAIN, tables(sizes), size)]
    assert [row for batch in found for row in batch] == list(range(sum(sizes)))
    assert {len(batch) for batch in found[:-1]} <= {size}
    assert 0 < len(found[-1]) <= size
