"""Models of classes: their legend, classifier and file, and the averages over neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from color_differences import differences
from hypothesis import given
from hypothesis import strategies as st

from alps_geo.classes import graph
from alps_geo.classes.classifier import Method
from alps_geo.classes.cross_validation import block_of, cross_validate
from alps_geo.classes.graph import SegmentGraph, borders_of
from alps_geo.classes.legend import class_legend
from alps_geo.classes.model import ClassModel, SampleColumns, sample_columns, table_rows
from alps_geo.classes.names import CLASSIFIERS
from alps_geo.classes.next_samples import Candidates, choose_next, uncertainty_of
from alps_geo.clusters.named_colors import usual_color
from alps_geo.clusters.projection import Projection
from alps_geo.clusters.sight import PLAIN, SIGHTS
from alps_geo.errors import RunError, SceneError, SettingsError
from alps_geo.features.columns import Columns
from alps_geo.segments.borders import Borders

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(0)
NAMES = tuple(f"spectral.{i}" for i in range(4))
PROJECTION = Projection(NAMES, ("uint8: red",), np.zeros((1, 4)), np.ones((1, 4)), np.eye(4))


def model(count: int = 30, classifier: str = "extra-trees") -> ClassModel:
    classes = np.arange(count) % 3 + 1
    values = (RNG.normal(size=(count, 4)) + 4 * classes[:, None]).astype(np.float32)
    samples = SampleColumns(values, ("uint8: red",) * count, classes)
    return ClassModel(PROJECTION, Method(classifier), class_legend(["a", "b", "c"]), samples)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_model_read_again_gives_the_same_probabilities(classifier: str) -> None:
    found = model(classifier=classifier)
    again = ClassModel.from_bytes(found.to_bytes(), "file")
    assert again.legend == found.legend
    assert again.method == found.method
    rows = RNG.normal(size=(50, 4)) * 5
    one, other = (each.fitted().probability(rows, 3) for each in (found, again))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one.sum(axis=1), 1)
    assert (
        found.fitted().probability(found.rows(), 3).argmax(axis=1) == found.classes()
    ).mean() > 0.9


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 and no more", b"\x93NUMPY\1\0"])
def test_a_damaged_model_is_one_line(damage: bytes) -> None:
    with pytest.raises(RunError, match=r"not a model of classes .*classes\.npz"):
        ClassModel.from_bytes(damage, "here.npz")


def test_a_model_holds_no_pickle() -> None:
    assert b"pickle" not in model().to_bytes()
    for array in np.load(__import__("io").BytesIO(model().to_bytes()), allow_pickle=False).values():
        assert array.dtype != object


def test_one_class_is_not_enough() -> None:
    found = model()
    only = replace(found.samples, classes=np.ones(30, np.int64))
    with pytest.raises(SceneError, match="the samples are of a only"):
        replace(found, samples=only).fitted()


def test_a_class_without_samples_has_no_probability() -> None:
    found = model()
    kept = found.samples.classes != 2
    some = SampleColumns(
        found.samples.values[kept], ("uint8: red",) * int(kept.sum()), found.samples.classes[kept]
    )
    given = replace(found, samples=some).fitted().probability(found.rows(), 3)
    assert (given[:, 1] == 0).all()
    np.testing.assert_allclose(given.sum(axis=1), 1)


def test_rows_and_samples_follow_the_ids() -> None:
    values = RNG.normal(size=(9, 4)).astype(np.float32)
    table = Columns("uint8: red", ("spectral",), NAMES, values)
    order = np.array([3, 1, 2, 9, 8, 7, 4, 5, 6])
    rows = table_rows(PROJECTION, table, order)
    np.testing.assert_allclose(rows[order - 1], values, rtol=1e-6)
    picked = sample_columns(PROJECTION, table, np.array([5, 0, 7]), np.array([1, 2, 3]))
    for value, number in zip(picked.values, picked.classes, strict=True):
        np.testing.assert_array_equal(value, values[{1: 5, 2: 0, 3: 7}[int(number)]])


def test_numbers_are_the_ids_of_their_classes() -> None:
    assert class_legend(["7", "12", "1"]).names == {1: "1", 7: "7", 12: "12"}
    assert class_legend(["7", "0"]).names == {1: "0", 2: "7"}
    assert class_legend(["7", "roof"]).names == {1: "7", 2: "roof"}


def test_known_classes_keep_ids_and_colours() -> None:
    first = class_legend(["road", "roof"], {"roof": (1, 2, 3)})
    more = class_legend(["grass", "roof"], known=first)
    assert more.names == {1: "road", 2: "roof", 3: "grass"}
    assert more.palette[2] == (1, 2, 3)
    assert len(set(more.palette.values())) == 3


def test_classes_keep_the_ids_that_a_run_has() -> None:
    ids = {"road": 1, "roof": 2, "sand": 3}
    assert class_legend(["grass", "road", "roof"], ids=ids).names == {
        1: "road",
        2: "roof",
        4: "grass",
    }
    known = class_legend(["lake", "sea"])
    more = class_legend(["grass", "road", "sand"], known=known, ids=ids)
    assert more.names == {1: "lake", 2: "sea", 3: "sand", 4: "grass", 5: "road"}
    assert class_legend(["7", "3"], ids={"7": 1, "roof": 2}).names == {3: "3", 7: "7"}


def test_classes_have_the_usual_colours_of_their_names() -> None:
    usual = {name: usual_color(name) for name in ("building", "forest", "water", "road")}
    legend = class_legend([*usual, "river", "thing", "other"], {"road": (250, 250, 20)})
    color = {name: legend.palette[i] for i, name in legend.names.items()}
    assert color["building"] == usual["building"]
    assert color["forest"] == usual["forest"]
    assert usual["water"] in (color["water"], color["river"])
    assert color["road"] == (250, 250, 20), "the colour of a named cluster"
    assert min(float(differences(legend.colors, sight).min()) for sight in SIGHTS) >= PLAIN - 0.02


@pytest.mark.parametrize("count", [1, 24, 300])
def test_any_number_of_classes_has_colours_of_their_own(count: int) -> None:
    legend = class_legend(["water", *(f"class {i}" for i in range(count))])
    assert len(set(legend.palette.values())) == count + 1


def test_a_name_of_two_lines_is_refused() -> None:
    with pytest.raises(SettingsError, match="not one line"):
        class_legend(["a", "b\nc"])


@given(st.integers(0, 2**31), st.integers(1, 12))
def test_borders_of_strips_are_those_of_the_whole(seed: int, rows: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 9, (30, 20))
    strips = [ids[start : start + rows] for start in range(0, 30, rows)]
    found, whole = borders_of(strips), Borders.between(ids)
    np.testing.assert_array_equal(found.pairs, whole.pairs)
    np.testing.assert_array_equal(found.sides, whole.sides)


def test_averages_are_over_like_neighbours_and_stay_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph, "ALIKE_SHARE", 0.0)
    rows = np.array([[0.0], [0.1], [5.0], [9.0]])
    borders = Borders(np.array([[0, 1], [1, 2]]), np.array([4, 4]))
    probability = np.array([[0.4, 0.6], [1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    found = SegmentGraph.of(rows, borders).averaged(probability)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    # The first goes with its like; the last has no neighbour.
    assert found[0].argmax() == 0
    assert found[1].argmax() == 0
    np.testing.assert_array_equal(found[3], probability[3])
    assert 0 < graph.SHARE < 1


def test_averages_are_over_the_most_similar_segments_too() -> None:
    rows = np.repeat([[0.0], [50.0]], 20, axis=0) + RNG.normal(size=(40, 1))
    probability = np.repeat([[0.9, 0.1], [0.1, 0.9]], 20, axis=0)
    probability[[3, 30]] = 0.45, 0.55
    alone = SegmentGraph.of(rows, Borders.none())
    assert (alone.weights[:20, 20:].sum(), alone.weights[20:, :20].sum()) == (0, 0)
    np.testing.assert_allclose(alone.weights.sum(axis=1), 1)
    assert (np.diff(alone.weights.indptr) == graph.ALIKE).all()
    assert alone.weights.diagonal().sum() == 0
    found = alone.averaged(probability)
    assert found[3].argmax() == 0
    assert found[30].argmax() == 1
    one = SegmentGraph.of(rows[:1], Borders.none())
    np.testing.assert_array_equal(one.averaged(probability[:1]), probability[:1])
    assert SegmentGraph.of(rows[:0], Borders.none()).averaged(probability[:0]).shape == (0, 2)


def test_similar_segments_of_many_are_looked_for_among_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph, "ALIKE_OF", 10)
    rows = np.repeat(np.arange(4.0), 25)[:, None] * 9
    weights = SegmentGraph.of(rows, Borders.none()).weights
    assert len(np.unique(weights.indices)) == 10
    assert weights.diagonal().sum() == 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def blobs(count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    classes = np.arange(count) % 2
    return RNG.normal(size=(count, 3)) + 6 * classes[:, None], classes


def test_separable_samples_are_recognised_in_other_blocks() -> None:
    rows, classes = blobs(40)
    blocks = block_of(RNG.uniform(0, 100, (40, 2)), (100, 100), 0)
    found = cross_validate(Method(), rows, classes, blocks)
    assert found is not None
    assert found.mean > 0.9
    assert found.folds <= 5
    mixed = cross_validate(Method(), rows, RNG.permutation(classes), blocks)
    assert mixed is not None
    assert mixed.mean < 0.8


def test_samples_that_only_repeat_in_one_block_do_not_flatter() -> None:
    """All samples of a class in one block: left out together, none is recognised."""
    rows, classes = blobs(40)
    rows[:] = RNG.normal(size=rows.shape)
    blocks = np.arange(40) // 4
    shift = RNG.normal(size=(10, 3)) * 8
    classes = (np.arange(40) // 4) % 2
    found = cross_validate(Method(), rows + shift[blocks], classes, blocks)
    assert found is not None
    assert found.mean < 0.85


def test_too_few_samples_have_no_accuracy() -> None:
    rows, classes = blobs(3)
    assert cross_validate(Method(), rows, classes, np.arange(3)) is None
    rows, classes = blobs(40)
    assert cross_validate(Method(), rows, classes, np.zeros(40, int)) is None


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_as_many_classes_as_samples_give_no_warning(classifier: str) -> None:
    rows, classes = RNG.normal(size=(30, 4)), np.arange(30)
    Method(classifier).fitted(rows, classes).probability(rows, 30)
    assert cross_validate(Method(classifier), rows, classes, np.arange(30)) is None
    # Two samples of each class: half of them are left out, so that each has one.
    few = np.arange(30) // 2
    cross_validate(Method("logistic"), rows[:24], few[:24], np.arange(24))


def test_the_next_samples_are_uncertain_large_and_apart() -> None:
    rows = np.array([[0.0], [0.01], [5.0], [9.0], [20.0]])
    area = np.array([100.0, 100.0, 100.0, 0.0, 1.0])
    doubt = np.array([1.0, 1.0, 0.9, 1.0, 1.0])
    candidates = Candidates(rows, area, doubt, np.zeros(5, np.int64))
    found = choose_next(candidates, np.array([], np.int64), 3).tolist()
    assert found[:2] == [0, 2]
    assert 3 not in found
    assert 0 not in choose_next(candidates, np.array([0]), 5).tolist()
    assert len(choose_next(candidates, np.array([0]), 5)) == 3


def test_classes_with_few_samples_come_first() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [4.0]])
    guess = np.array([0, 0, 0, 1])
    candidates = Candidates(rows, np.ones(4), np.ones(4), guess)
    sampled = np.array([0, 1])
    assert choose_next(candidates, sampled, 1).tolist() == [3]


def test_uncertainty_is_the_lack_of_a_margin() -> None:
    found = uncertainty_of(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.5, 0.3]]))
    np.testing.assert_allclose(found, [1, 0, 0.8])


def test_an_unknown_classifier_is_named() -> None:
    with pytest.raises(SettingsError, match="expected one of extra-trees, random-forest, logistic"):
        Method("svm")
