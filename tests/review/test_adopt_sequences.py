"""Random sequences of edits, changes of clusters and labellings keep every adopted edit."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from class_samples import assert_classes_agree, points
from edited_runs import SCENES, assert_consistent, edit, finished_crops, polygons, query, scenes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alps_geo.errors import RunError
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.review.adopt import adopt_edits
from alps_geo.review.class_model import ClassifyRequest
from alps_geo.review.classify import classify_segments
from alps_geo.review.relabel import (
    merge_clusters,
    merge_same_names,
    name_clusters,
    recolor_clusters,
    split_cluster,
)
from alps_geo.review.sample_files import SampleFiles
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import FinishedRun, read_finished
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("images_encoded_once")

NAMES = ("road", "roof", "lawn")
CLASS = "SELECT class FROM segments WHERE segment_id = ?"
NUMBER = st.integers(0, 200)
EDITS, CHANGES = ("move", "number", "call", "class"), ("merge", "split", "name", "recolor", "same")
STEPS = st.one_of(
    st.tuples(st.sampled_from(EDITS), NUMBER, NUMBER, st.sampled_from(SCENES)),
    st.tuples(st.sampled_from([*CHANGES, "classify"]), NUMBER, NUMBER),
    st.tuples(st.just("label"), st.integers(3, 5), st.integers(0, 1)),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory)


@pytest.fixture(scope="module")
def samples(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return points(finished / "out", tmp_path_factory.mktemp("samples") / "points.gpkg")


class Book:
    """A run, and the cluster that each overridden segment has to have."""

    def __init__(self, path: Path, crops: list[Path], samples: Path) -> None:
        self.path, self.crops, self.samples = path, crops, samples
        self.expected: dict[tuple[str, int], int] = {}
        self.classes: dict[tuple[str, int], str] = {}

    @property
    def run(self) -> FinishedRun:
        return read_finished(RunFolder(self.path))

    def clusters(self, scene: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return clusters and confidences in the polygons, by segment id."""
        found = query(
            polygons(self.path, scene),
            "SELECT cluster, confidence FROM segments ORDER BY segment_id",
        )
        clusters, confidences = zip(*found, strict=True)
        return np.array(clusters), np.array(confidences)

    def take(self, kind: str, one: int, two: int, *scene: str) -> None:
        """Take a step, and note where it should lead."""
        ids = self.run.model.legend.ids.tolist()
        first, second = ids[one % len(ids)], ids[two % len(ids)]
        name, request = NAMES[two % len(NAMES)], SampleFiles((str(self.samples),), "class")
        steps: dict[str, Callable[[], object]] = {
            "label": lambda: self.label(one, two),
            "name": lambda: name_clusters(self.path, {first: name}),
            "recolor": lambda: recolor_clusters(self.path, {first: "#123456"}),
            "merge": lambda: self.merge(first, second),
            "split": lambda: self.split(first),
            "same": self.merge_same,
            "classify": lambda: classify_segments(self.path, ClassifyRequest(request)),
            "class": lambda: self.adopt_class(one, name, *scene),
        }
        steps.get(kind, lambda: self.adopt(kind, one, two, *scene))()

    def adopt(self, kind: str, one: int, two: int, scene: str) -> None:
        """Edit one feature, and adopt the edit."""
        legend, (clusters, _) = self.run.model.legend, self.clusters(scene)
        segment = one % len(clusters) + 1
        total = sum((self.clusters(each)[0] == clusters[segment - 1]).sum() for each in SCENES)
        name, ids = NAMES[two % len(NAMES)], legend.ids.tolist()
        target, new = ids[two % len(ids)], ids[-1] + 1 + two % 3
        known = [i for i, each in legend.names.items() if each == name]
        changes = {
            "move": (f"cluster = {target}", target),
            "number": (f"cluster = {new}, cluster_name = '{name}'", new),
            "call": (f"cluster_name = '{name}'", known[0] if known else ids[-1] + 1),
        }
        text, leads_to = changes[kind]
        own = int(clusters[segment - 1])
        edit(polygons(self.path, scene), f"UPDATE segments SET {text} WHERE segment_id = {segment}")
        adopt_edits(self.path)
        renames = kind == "call" and (total == 1 or legend.names.get(own) == name)
        if not renames and not (kind == "move" and target == own):
            self.expected[scene, segment] = leads_to

    def adopt_class(self, one: int, name: str, scene: str) -> None:
        """Edit the class of one feature, and adopt the edit."""
        if self.run.record.classes is None:
            return
        path, segment = polygons(self.path, scene), one % len(self.clusters(scene)[0]) + 1
        before = query(path, CLASS, segment)
        edit(path, f"UPDATE segments SET class = '{name}' WHERE segment_id = {segment}")
        adopt_edits(self.path)
        if before != [(name,)]:
            self.classes[scene, segment] = name

    def follow(self, ids: dict[int, int]) -> None:
        self.expected = {key: ids.get(each, each) for key, each in self.expected.items()}

    def merge(self, first: int, second: int) -> None:
        if first != second:
            merge_clusters(self.path, [first, second])
            self.follow({first: min(first, second), second: min(first, second)})

    def split(self, cluster: int) -> None:
        before = set(self.run.model.legend.palette)
        count = sum((self.clusters(scene)[0] == cluster).sum() for scene in SCENES)
        if count < 2:
            with pytest.raises(RunError, match="cannot be split"):
                split_cluster(self.path, cluster, 2)
            return
        split_cluster(self.path, cluster, 2)
        parts = {cluster, *(set(self.run.model.legend.palette) - before)}
        for (scene, segment), each in self.expected.items():
            if each == cluster:
                found = int(self.clusters(scene)[0][segment - 1])
                assert found in parts
                self.expected[scene, segment] = found

    def merge_same(self) -> None:
        names = self.run.model.legend.names
        lowest: dict[str, int] = {}
        for cluster, name in names.items():
            lowest.setdefault(name, cluster)
        if len(lowest) == len(names):
            return
        merge_same_names(self.path)
        self.follow({cluster: lowest[name] for cluster, name in names.items()})

    def label(self, clusters: int, seed: int) -> None:
        """Label again: what was together stays so, what was apart too, and under its name."""
        names = self.run.model.legend.names
        # Of the same segments as in `edited_runs`.
        chosen = LabelSettings(
            points="grid:2",
            merge=False,
            neighbours=0.0,
            small_clusters=1,
            clusters=clusters,
            seed=seed,
        )
        label_scenes([*map(str, self.crops)], self.path, chosen, RunFlags(overwrite=True))
        pairs = {
            (each, int(self.clusters(scene)[0][segment - 1]))
            for (scene, segment), each in self.expected.items()
        }
        ids = dict(pairs)
        assert len(pairs) == len(ids) == len(set(ids.values()))
        now = self.run.model.legend.names
        assert all(now.get(new) == names.get(old) for old, new in ids.items() if new > clusters)
        self.follow(ids)

    def check(self) -> None:
        assert_consistent(self.path)
        run = self.run
        given = {
            (scene, segment): cluster
            for scene in SCENES
            for segment, cluster in run.overrides.of(scene).items()
        }
        assert given == self.expected
        if run.record.classes is not None:
            assert_classes_agree(self.path)
            for (scene, segment), name in self.classes.items():
                assert query(polygons(self.path, scene), CLASS, segment) == [(name,)]
        for scene in SCENES:
            clusters, confidences = self.clusters(scene)
            table = run.tables[scene]
            by_model = run.model.apply(table).by_id(table.rows)
            expected, sure = by_model.cluster.copy(), by_model.confidence.copy()
            for (where, segment), cluster in self.expected.items():
                if where == scene:
                    expected[segment - 1], sure[segment - 1] = cluster, 1
            np.testing.assert_array_equal(clusters, expected)
            np.testing.assert_allclose(confidences, sure, atol=1e-6)


@given(st.lists(STEPS, min_size=3, max_size=6))
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
def test_every_adopted_edit_outlives_what_comes_after_it(
    finished: Path, samples: Path, steps: list[tuple[Any, ...]]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(shutil.copytree(finished / "out", Path(folder) / "run"))
        book = Book(path, scenes(finished), samples)
        for step in steps:
            book.take(*step)
            book.check()
