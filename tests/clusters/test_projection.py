import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alps_geo.clusters.projection import Projection
from alps_geo.errors import RunError
from alps_geo.features.columns import Columns

KINDS = ("uint8: red, nir", "uint16: red, nir")


def projection(matrix: object = ((1, 0), (0, 1))) -> Projection:
    return Projection(
        ("mean.red", "mean.nir"),
        KINDS,
        mean=np.array([[1.0, 2.0], [100.0, 200.0]]),
        scale=np.array([[0.5, 1.0], [50.0, 100.0]]),
        matrix=np.array(matrix, dtype=np.float64),
    )


def columns(
    kind: str, values: object, names: tuple[str, ...] = ("mean.red", "mean.nir")
) -> Columns:
    return Columns(kind, ("spectral",), names, np.array(values, dtype=np.float32))


def test_columns_are_standardised_by_the_kind_of_their_scene() -> None:
    low, high = columns(KINDS[0], [[1.5, 4]]), columns(KINDS[1], [[150, 400]])
    assert projection().standardize(low).tolist() == [[1, 2]]
    assert projection().standardize(high).tolist() == [[1, 2]]
    assert projection().standardize(low).dtype == np.float64


def test_standardised_columns_are_projected() -> None:
    found = projection(((2, 0, 1), (0, 3, 1))).project(columns(KINDS[0], [[1.5, 4], [1, 2]]))
    assert found.tolist() == [[2, 6, 3], [0, 0, 0]]


def test_columns_are_found_by_name_and_others_are_passed_over() -> None:
    more = columns(KINDS[0], [[4, 9, 1.5]], ("mean.nir", "texture.1", "mean.red"))
    assert projection().project(more).tolist() == [[1, 2]]


@given(st.lists(st.integers(-5, 5), min_size=4, max_size=4), st.integers(-9, 9))
def test_a_projection_is_linear_about_the_mean(matrix: list[int], factor: int) -> None:
    """Rows that lie a factor further from the mean are projected a factor further from 0."""
    given = projection(np.reshape(matrix, (2, 2)))
    away = np.array([[0.5, -1.0], [2.0, 4.0]])
    one, other = (given.project(columns(KINDS[0], given.mean[0] + f * away)) for f in (1, factor))
    np.testing.assert_array_equal(factor * one, other)


def test_a_scene_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(RunError, match="and this is one of grey"):
        projection().project(columns("grey", [[0, 0]]))


@pytest.mark.parametrize("name", ["mean", "scale", "matrix"])
def test_shapes_that_disagree_are_refused(name: str) -> None:
    parts = {"mean": np.zeros((2, 2)), "scale": np.ones((2, 2)), "matrix": np.eye(2)}
    parts[name] = np.zeros((3, 2))
    with pytest.raises(ValueError, match="shape"):
        Projection(("mean.red", "mean.nir"), KINDS, **parts)
