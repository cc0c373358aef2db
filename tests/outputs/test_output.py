"""An output of one's own: names, checks, rewriting and removal follow from the list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rasterio
from helpers import DATA, alps_geo
from rasterio.windows import Window

from alps_geo.outputs.names import LABELS, POLYGONS
from alps_geo.outputs.output import Output, check_present
from alps_geo.outputs.results import OUTPUTS
from alps_geo.runs.names import folder_names
from alps_geo.runs.own_results import is_own_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.outputs.output import LabelledRun, LabelledScene, SceneSource

pytestmark = pytest.mark.usefixtures("images_encoded_once")

QUICK = ("--points", "grid:2", "--clusters", "3", "--quiet")
LIST, NUMBER = "list.txt", "number.txt"


class ClusterList(Output):
    """The clusters of each scene in a text file, and their number in one for the run."""

    files = (LIST,)
    run_files = (NUMBER,)
    needs = (POLYGONS, LABELS)

    def check(self, labelled: LabelledScene) -> None:
        check_present(labelled.folder / LIST)

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        assert all((labelled.folder / name).is_file() for name in self.needs)
        self._list(labelled, f"written {source.scene.name}")

    def rewrite(self, labelled: LabelledScene) -> None:
        self._list(labelled, "rewritten")

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        self._list(labelled, "legend")

    def write_run(self, run: LabelledRun) -> None:
        (run.folder / NUMBER).write_text(f"{len(run.model)} clusters")

    def _list(self, labelled: LabelledScene, how: str) -> None:
        names = [labelled.model.legend.names.get(i, "-") for i in labelled.model.legend.palette]
        (labelled.folder / LIST).write_text(f"{how}: {' '.join(names)}")


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    """Put the output first in the list: its needs put it last in the order of writing."""
    own = ClusterList()
    OUTPUTS.insert(0, own)
    yield
    OUTPUTS.remove(own)


@pytest.fixture(scope="module")
def finished(registered: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as scene:
        profile = {**scene.profile, "width": 64, "height": 64}
        pixels = scene.read(window=Window(0, 0, 64, 64))
    with rasterio.open(folder / "scene.tif", "w", **profile) as small:
        small.write(pixels)
    outcome = alps_geo("label", folder / "scene.tif", "--out", folder / "run", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished / "run", tmp_path / "run"))


def test_it_is_written_with_all_others_and_recorded(run: Path) -> None:
    assert (run / "scene" / LIST).read_text() == "written scene: - - -"
    assert (run / NUMBER).read_text() == "3 clusters"
    assert {f"scene/{LIST}", NUMBER} <= set(json.loads((run / "run.json").read_text())["files"])


def test_its_files_are_results_and_its_names_are_taken(run: Path) -> None:
    assert is_own_result(run / "scene" / LIST)
    assert is_own_result(run / NUMBER)
    assert folder_names([NUMBER, LIST]) == [f"{NUMBER}-2", LIST]


def test_it_follows_the_clusters(run: Path) -> None:
    outcome = alps_geo("clusters", "name", run, "2=road", "--quiet")
    assert outcome.exit_code == 0, outcome.stderr
    assert (run / "scene" / LIST).read_text() == "legend: - road -"
    outcome = alps_geo("clusters", "merge", run, "1", "3", "--quiet")
    assert outcome.exit_code == 0, outcome.stderr
    assert (run / "scene" / LIST).read_text() == "rewritten: - road"
    assert (run / NUMBER).read_text() == "2 clusters"


def test_its_check_comes_before_anything_is_changed(run: Path) -> None:
    (run / "scene" / LIST).unlink()
    before = {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    outcome = alps_geo("clusters", "merge", run, "1", "3")
    assert outcome.exit_code == 1
    assert f"{run / 'scene' / LIST} is absent" in outcome.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_it_is_removed_with_the_run_that_wrote_it(finished: Path, run: Path) -> None:
    other = run.parent / "other.tif"
    shutil.copy(finished / "scene.tif", other)
    outcome = alps_geo("label", other, "--out", run, "--overwrite", *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    assert (run / "other" / LIST).is_file()
    assert not (run / "scene").exists()


def test_labels_that_are_gone_are_painted_again_with_their_legend(run: Path) -> None:
    labels = run / "scene" / LABELS
    before = labels.read_bytes()
    labels.unlink()
    outcome = alps_geo("clusters", "recolor", run, "1=#123456", "--quiet")
    assert outcome.exit_code == 0, outcome.stderr
    with rasterio.open(labels) as raster:
        assert raster.colormap(1)[1][:3] == (0x12, 0x34, 0x56)
    assert labels.read_bytes() != before
