"""Clusters that a person gave segments: on disk, and carried to another model."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cluster_tables import blobs, elsewhere, fit

from alps_geo.clusters.overrides import override
from alps_geo.errors import RunError
from alps_geo.runs.clusters import RunClusters, overrides_of
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.overrides import (
    NO_OVERRIDES,
    SceneOverrides,
    read_overrides,
    write_overrides,
)

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.clusters.model import ClusterModel

COLUMNS, _ = blobs()


def named_model() -> ClusterModel:
    """A model of five clusters, of which 2 has a name, and a sixth without a centre."""
    model = fit(COLUMNS, 5).named({2: "wood"})
    return replace(model, legend=model.legend.added(6, "roof"))


def of_scene(clusters: dict[int, int]) -> dict[str, SceneOverrides]:
    return {"scene": SceneOverrides("d16e57", "k3y", clusters)}


def test_a_person_outdoes_the_model_and_is_sure() -> None:
    assigned = fit(COLUMNS, 5).apply(COLUMNS)
    ids = np.arange(len(COLUMNS), 0, -1).astype(np.uint32)
    found = override(assigned, ids, {1: 6, len(COLUMNS): 2})
    assert found.cluster[[-1, 0]].tolist() == [6, 2]
    assert found.confidence[[-1, 0]].tolist() == [1, 1]
    np.testing.assert_array_equal(found.cluster[1:-1], assigned.cluster[1:-1])
    np.testing.assert_array_equal(found.confidence[1:-1], assigned.confidence[1:-1])


def test_overrides_are_read_as_they_were_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    overrides = overrides_of(of_scene({3: 6, 17: 2}), named_model())
    write_overrides(folder, overrides)
    assert read_overrides(folder) == overrides
    write_overrides(folder, overrides_of(of_scene({}), named_model()))
    assert not folder.overrides_path.exists()
    assert read_overrides(folder) == NO_OVERRIDES


TARGET = {"name": "", "color": "#00ff00"}
SCENE = {"segments": "d16e57", "made_with": "k3y", "clusters": {"3": 1}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "Expecting property name"),
        ([], "expected an object"),
        ({"clusters": {}}, "lacks 'scenes'"),
        ({"clusters": {}, "scenes": {"scene": SCENE}}, "lead to [1], which are not described"),
        ({"clusters": {"0": TARGET}, "scenes": {}}, "there is an id '0', expected a whole"),
        ({"clusters": {"one": TARGET}, "scenes": {}}, "there is an id 'one', expected a whole"),
        ({"clusters": {"1": {**TARGET, "color": "teal"}}, "scenes": {}}, "color is"),
        (
            {"clusters": {"1": TARGET}, "scenes": {"scene": {**SCENE, "clusters": {"3": "1"}}}},
            "expected a whole number",
        ),
    ],
)
def test_a_damaged_file_is_one_line_with_a_remedy(tmp_path: Path, content: Any, told: str) -> None:
    folder = RunFolder(tmp_path)
    text = content if isinstance(content, str) else json.dumps(content)
    folder.overrides_path.write_text(text)
    with pytest.raises(RunError) as raised:
        read_overrides(folder)
    message = str(raised.value)
    assert message.startswith(f"{folder.overrides_path} is damaged")
    assert told in message
    assert "put back a copy, or remove the file" in message
    assert "\n" not in message


def carried(model: ClusterModel, clusters: dict[int, int], other: ClusterModel) -> RunClusters:
    return RunClusters(model, overrides_of(of_scene(clusters), model)).carried_to(other)


def test_the_same_clusters_keep_their_ids() -> None:
    model, clusters = named_model(), {1: 1, 2: 2, 3: 6}
    kept = carried(model, clusters, model)
    assert kept.overrides.of("scene") == clusters
    assert kept.model.legend == model.legend
    # A fit again knows no names; cluster 1 has the same centre, and the others have a name to keep.
    again = carried(model, clusters, fit(COLUMNS, 5))
    assert again.overrides.of("scene") == clusters
    assert again.model.legend.names == {6: "roof"}


def test_clusters_of_another_fit_stay_as_ones_without_a_centre() -> None:
    model, other = named_model(), fit(elsewhere(), 4)
    kept = carried(model, {1: 1, 2: 2, 3: 6, 4: 1}, other)
    found = kept.overrides.of("scene")
    assert found[1] == found[4]
    assert len({found[1], found[2], found[3]}) == 3
    assert not set(found.values()) & set(other.legend.palette)
    assert {kept.model.legend.names.get(found[i], "") for i in (1, 2, 3)} == {"", "wood", "roof"}
    assert kept.model.legend.palette[found[3]] == model.legend.palette[6]
    np.testing.assert_array_equal(kept.model.apply(COLUMNS).cluster, other.apply(COLUMNS).cluster)
    # Once more, as after a stop.
    assert kept.carried_to(other) == kept


def test_a_cluster_of_the_name_takes_the_place_of_a_named_one() -> None:
    other = fit(elsewhere(), 4).named({3: "wood", 4: "wood"})
    kept = carried(named_model(), {1: 2, 2: 6}, other)
    assert kept.overrides.of("scene")[1] == 3
    assert kept.model.legend.names == {3: "wood", 4: "wood", 6: "roof"}
