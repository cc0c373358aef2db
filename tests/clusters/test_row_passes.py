"""Work on ranges of rows in several processes: the same bytes, and none for few rows."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from cluster_tables import blobs, elsewhere

from alps_geo.clusters.fit import FittedClusters, Recipe, fit_clusters
from alps_geo.clusters.scaling import project_alone
from alps_geo.clusters.tree import Assigned
from alps_geo.features.mapping import HERE, Mapper
from alps_geo.tiles.processes import ProcessExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from alps_geo.features.columns import Columns
    from alps_geo.features.mapping import Item, Result

RECIPES = {
    "small clusters": Recipe(batch_size=64, small=4),
    "published": Recipe(batch_size=64, passes=2, raw=True, in_order=True),
}


@dataclass(frozen=True)
class Counting:
    """Maps here, and counts the maps."""

    maps: list[int] = field(default_factory=list)

    def map(
        self, prepare: Callable[[], Callable[[Item], Result]], items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        self.maps.append(1)
        return HERE.map(prepare, items)


def tables() -> list[Columns]:
    """Two scenes, one of which has a range that is shorter than the others."""
    (first, _), second = blobs(120), elsewhere()
    return [first, second]


def fitted(mapper: Mapper, recipe: Recipe, given: list[Columns]) -> FittedClusters:
    areas = [np.arange(1, 1 + len(each)) for each in given]
    return fit_clusters(given, areas, 5, seed=0, recipe=recipe, mapper=mapper)


def same(one: Assigned, other: Assigned) -> bool:
    names = [each.name for each in fields(Assigned)]
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in names)


@pytest.mark.parametrize("recipe", RECIPES)
def test_any_number_of_processes_fits_the_same_clusters(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alps_geo.features.columns.BATCH_ROWS", 100)
    monkeypatch.setattr("alps_geo.clusters.fit.FIT_ROWS", 300)
    expected = fitted(HERE, RECIPES[recipe], tables())
    for workers in (2, 3):
        found = fitted(ProcessExecutor(workers), RECIPES[recipe], tables())
        assert found.model.to_bytes() == expected.model.to_bytes()
        assert all(map(same, found.assigned, expected.assigned))
    if recipe == "small clusters":
        alone = project_alone(tables()[0], ProcessExecutor(2))
        assert alone.tobytes() == project_alone(tables()[0]).tobytes()


@pytest.mark.parametrize("recipe", RECIPES)
def test_clusters_of_a_fit_are_those_that_its_model_gives(recipe: str) -> None:
    found = fitted(HERE, RECIPES[recipe], tables())
    for each, assigned in zip(tables(), found.assigned, strict=True):
        assert same(assigned, found.model.apply(each))


def test_few_rows_are_worked_on_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    mapper, given = Counting(), tables()
    for _ in range(2):
        model = fitted(mapper, RECIPES["small clusters"], given).model
        model.apply_to_all(given, mapper)
        project_alone(given[0], mapper)
        # The second time there are more rows than in one range.
        assert bool(mapper.maps) == (len(given[0]) > 600)
        given = [replace(each, values=np.repeat(each.values, 2, axis=0)) for each in given]
        monkeypatch.setattr("alps_geo.features.columns.BATCH_ROWS", 1000)
