import numpy as np
import pytest
from cluster_tables import blobs, fit
from numpy.typing import NDArray

from alps_geo.clusters.fit import Recipe, fit_clusters
from alps_geo.clusters.suggest import (
    Span,
    Trial,
    Tried,
    caveat,
    recommend,
    suggest_number,
)
from alps_geo.errors import RunError


def tried(clusters: int, inertia: float, stability: float) -> Tried:
    return Tried(clusters, inertia, 0.2, stability, 0.01)


@pytest.mark.parametrize("times", [1, 4])
def test_the_number_of_clear_groups_is_found(times: int) -> None:
    rng = np.random.default_rng(6)
    centers = rng.normal(scale=20, size=(6, 4))
    rows = rng.permutation(np.repeat(centers, 60, axis=0) + rng.normal(size=(360, 4)))
    trial = Trial.of(rows, 0, 14, times)
    found = [trial.figures(clusters) for clusters in range(2, 15)]
    assert recommend(found)[0] == 6
    best = found[6 - 2]
    assert best.stability == 1
    assert best.silhouette == max(each.silhouette for each in found)
    assert "No number stands out" not in caveat(best)
    # Mean squared distance of four coordinates of unit variance.
    assert best.inertia == pytest.approx(4, rel=0.1)
    inertia = [each.inertia for each in found]
    assert inertia == sorted(inertia, reverse=True)


def test_the_same_seed_gives_the_same_figures() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3))
    assert Trial.of(rows, 3, 7).figures(7) == Trial.of(rows, 3, 7).figures(7)
    # There are no groups, so that halves do not agree on any.
    found = Trial.of(rows, 3, 7).figures(7)
    assert found.stability < 0.8
    assert f"no clear groups (silhouette {found.silhouette:.2f};" in caveat(found)


def test_a_cluster_of_one_segment_is_no_error() -> None:
    rows = np.concatenate([np.random.default_rng(0).normal(size=(3000, 2)), [[1e3, 1e3]]])
    assert Trial.of(rows, 0, 2).figures(2).silhouette > 0.9


def test_few_but_stable_clusters_are_not_recommended() -> None:
    curve = [
        tried(2, 1.0, 0.99),
        tried(6, 0.4, 0.6),
        tried(8, 0.35, 0.7),
        tried(10, 0.3, 0.5),
        tried(40, 0.2, 0.9),
    ]
    clusters, reason = recommend(curve)
    assert clusters == 8
    assert "(8 to 10)" in reason
    assert "0.70" in reason


def test_without_a_bend_to_measure_the_most_stable_number_is_recommended() -> None:
    assert recommend([tried(5, 0.4, 0.6)])[0] == 5
    assert recommend([tried(5, 0.4, 0.6), tried(9, 0.3, 0.7)])[0] == 9
    assert recommend([tried(n, 0.3, n / 10) for n in (3, 4, 5)])[0] == 3


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(3, 9, 2), [3, 5, 7, 9]),
        (Span(3, 4), [3, 4]),
        (Span(high=6), [4, 5, 6]),
        (Span(10, 10), [10]),
    ],
)
def test_numbers_to_try_lie_in_the_span_and_below_half_of_the_segments(
    span: Span, expected: list[int]
) -> None:
    assert span.numbers(21, "results") == expected
    assert Span().numbers(21, "results")[-1] == 10


def test_steps_between_numbers_to_try_grow() -> None:
    numbers = Span().numbers(10_000, "results")
    assert (numbers[0], numbers[-1]) == (4, 60)
    steps = np.diff(numbers)
    assert len(numbers) <= 16
    assert steps[0] == 1
    assert steps[-1] == steps.max() > 5


@pytest.mark.parametrize("span", [Span(1, 5), Span(8, 7), Span(4, 11), Span(11)])
def test_numbers_that_halves_of_the_segments_cannot_make_are_an_error(span: Span) -> None:
    with pytest.raises(RunError, match="results has 21 different segments, and so from 2 to 10"):
        span.numbers(21, "results")


def test_a_number_is_suggested_for_the_rows_that_the_model_compares() -> None:
    columns, _ = blobs(per_cluster=20)
    heard: list[tuple[int, int]] = []
    found = suggest_number(
        fit(columns, 3),
        [columns, columns],
        Span(2, 9, 1),
        0,
        "results",
        lambda *at: heard.append(at),
    )
    assert found.clusters == 5
    assert (found.segments, found.sample) == (200, 200)
    assert [each.clusters for each in found.tried] == list(range(2, 10))
    assert heard == [(done, 8) for done in range(9)]
    tried = found.to_dict()["tried"]
    assert isinstance(tried, tuple)
    assert tried[0]["clusters"] == 2


def test_clusters_are_those_that_a_fit_with_small_clusters_finds() -> None:
    """A few rows of another kind next to many have a cluster of their own, as in a fit."""
    rng = np.random.default_rng(1)
    many = rng.normal(size=(4000, 6))
    few = rng.normal([0, 0, 6, 0, 0, 0], 0.3, size=(60, 6))
    rows = np.vstack([many, few])

    def purity(times: int) -> float:
        labels = Trial.of(rows, 0, 4, times).whole.labels(4)
        mine = np.bincount(labels[4000:]).argmax()
        return float((labels == mine)[4000:].sum() / (labels == mine).sum())

    assert purity(1) < 0.2
    assert purity(10) > 0.9


def test_small_clusters_are_tried_where_the_model_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, _ = blobs(per_cluster=40)
    given: list[int] = []
    make = Trial.of

    def noting(rows: NDArray[np.float64], seed: int, most: int, times: int = 1) -> Trial:
        given.append(times)
        return make(rows, seed, most, times)

    monkeypatch.setattr(Trial, "of", noting)
    areas = [np.ones(200, int)]
    for small, times in ((1, 1), (8, 8)):
        model = fit_clusters([columns], areas, 5, seed=0, recipe=Recipe(small=small)).model
        found = suggest_number(model, [columns], Span(2, 9, 1), 0, "results", lambda *_: None)
        assert found.clusters == 5
        assert given.pop() == times
