"""`alps-geo classify` and `similar`: bad input is one line, and nothing is changed."""

from __future__ import annotations

import json
import warnings
from shutil import copytree
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest
import shapely
from class_samples import classes, ids, points, segments
from edited_runs import (
    SCENES,
    WAL,
    contents,
    done,
    edit,
    finished_crops,
    other_program,
    polygons,
    query,
    refused,
)
from helpers import DATA, alps_geo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_crops(tmp_path_factory) / "out"


@pytest.fixture(scope="module")
def untouched(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that no test of this file may change."""
    return copytree(finished, tmp_path_factory.mktemp("untouched") / "out")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return copytree(finished, tmp_path / "out")


@pytest.fixture
def samples(run: Path) -> Path:
    return points(run, run.parent / "points.gpkg")


def write(path: Path, names: Sequence[object], shapes: Sequence[object], crs: object) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        gpd.GeoDataFrame({"class": names}, geometry=list(shapes), crs=crs).to_file(path)
    return path


def refuses(run: Path, *options: object, code: int = 1, parts: Sequence[str] = ()) -> None:
    before = contents(run)
    outcome = alps_geo("classify", run, *options)
    assert outcome.exit_code == code, outcome.stdout + outcome.stderr
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    for part in parts:
        assert part in outcome.stderr
    assert contents(run) == before


LOCAL = 'LOCAL_CS["a building site",UNIT["metre",1]]'


def bad_files(run: Path, folder: Path) -> dict[str, tuple[Path, int, tuple[str, ...]]]:
    found = segments(run)
    inside = found.geometry.representative_point().iloc[:2].to_list()
    far = [shapely.Point(10, 10), shapely.Point(11, 11)]
    two = ["a", "b"]
    text = folder / "notes.txt"
    text.write_text("no layer")
    (folder / "broken.gpkg").write_text("no layer")
    return {
        "outside": (
            write(folder / "far.gpkg", two, far, found.crs),
            1,
            ("all 2 samples lie outside the scenes", "check the CRS"),
        ),
        "one class": (
            write(folder / "one.gpkg", ["a", "a"], inside, found.crs),
            1,
            ("the samples are of a only", "two classes at least"),
        ),
        "no CRS": (
            write(folder / "none.gpkg", two, inside, None),
            1,
            ("has no CRS", "expected both or neither", "ogr2ogr -a_srs"),
        ),
        "unknown CRS": (
            write(folder / "local.gpkg", two, inside, LOCAL),
            1,
            ("its CRS cannot be turned into EPSG:26918", "save it in that CRS"),
        ),
        "empty fields": (
            write(folder / "empty.gpkg", [None, " "], inside, found.crs),
            1,
            ("none of its 2 features has both a geometry and a class",),
        ),
        "measurements": (
            write(folder / "float.gpkg", [0.25, 0.5], inside, found.crs),
            1,
            ("column class holds the class 0.25", "not of measurements"),
        ),
        "broken": (folder / "broken.gpkg", 1, ("cannot be opened as a vector file",)),
        "missing": (folder / "none.shp", 1, ("check the path of the samples",)),
        "no file": (text, 1, (str(text),)),
        "raster elsewhere": (
            DATA / "sentinel2_uint16_4band.tif",
            1,
            ("has 4 bands, expected one band of ids or classes",),
        ),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "outside",
        "measurements",
        "broken",
        "missing",
        "one class",
        "no CRS",
        "unknown CRS",
        "empty fields",
        "no file",
        "raster elsewhere",
    ],
)
def test_samples_that_cannot_be_used(untouched: Path, tmp_path: Path, kind: str) -> None:
    path, code, parts = bad_files(untouched, tmp_path)[kind]
    refuses(untouched, "--samples", path, code=code, parts=parts)


def test_samples_on_nodata(run: Path, tmp_path: Path) -> None:
    """Segments are taken out of the raster, so that there are pixels without one."""
    import rasterio

    first = segments(run).geometry.iloc[0]
    path = run / "first" / "segments.tif"
    with rasterio.open(path) as raster:
        values, profile = raster.read(1), raster.profile
    values[values == 1] = 0
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values, 1)
    inside = [first.representative_point()] * 2
    file = write(tmp_path / "hole.gpkg", ["a", "b"], inside, segments(run).crs)
    refuses(run, "--samples", file, parts=("all 2 samples lie on pixels without a segment",))


def test_a_column_or_layer_that_is_not_there(untouched: Path, tmp_path: Path) -> None:
    file = points(untouched, tmp_path / "points.gpkg")
    refuses(
        untouched, "--samples", file, "--field", "kind", parts=("has no column 'kind'", "class")
    )
    refuses(untouched, "--samples", file, "--layer", "x", parts=("has no layer 'x'", "points"))


def test_a_scene_without_samples_of_its_own(untouched: Path, tmp_path: Path) -> None:
    file = points(untouched, tmp_path / "points.gpkg", scenes=("first",))
    parts = ("second has samples of 0 classes", "leave out --per-scene")
    refuses(untouched, "--samples", file, "--per-scene", parts=parts)


def test_no_samples_and_no_names(untouched: Path) -> None:
    refuses(untouched, code=2, parts=("there are no samples", "--samples FILE"))
    refuses(untouched, "--from-names", code=2, parts=("no cluster", "alps-geo clusters name"))


def test_a_model_of_other_features(untouched: Path, run: Path, samples: Path) -> None:
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    from alps_geo.review.class_model import read_class_model

    model = read_class_model(run / "classes.npz")
    path = run.parent / "other.npz"
    data = dict(np.load(run / "classes.npz"))
    names = [*model.projection.column_names]
    names[0] = "timm.0"
    np.savez(path, **data | {"projection.column_names": np.array(names)})
    refuses(untouched, "--model", path, code=2, parts=("has no column timm.0", "--features"))
    other = np.array(["int16: red"])
    np.savez(path, **data | {"projection.kinds": other})
    refuses(untouched, "--model", path, parts=("not a model of classes", "samples of a kind"))
    kinds = {"projection.kinds": other, "samples.kinds": np.repeat(other, 24)}
    np.savez(path, **data | kinds)
    refuses(untouched, "--model", path, code=2, parts=("first is of uint8", "knows int16: red"))
    # Other bands make other columns too.
    np.savez(path, **data | kinds | {"projection.column_names": np.array(names)})
    refuses(untouched, "--model", path, code=2, parts=("first is of uint8", "same bands"))
    refuses(
        untouched,
        "--model",
        untouched / "clusters.npz",
        parts=("not a model of classes", "expected a classes.npz"),
    )
    refuses(untouched, "--model", run / "nothing.npz", parts=("cannot be read",))


def test_edited_classes_are_not_overwritten(run: Path, samples: Path) -> None:
    command = ("--samples", samples, "--quiet")
    done(alps_geo("classify", run, *command))
    edit(polygons(run), "UPDATE segments SET class = 'lake' WHERE segment_id = 3")
    refuses(
        run,
        *command,
        "--classifier",
        "logistic",
        parts=("class of segment 3 is 'lake'", "--discard-edits"),
    )
    done(alps_geo("classify", run, *command, "--discard-edits"))
    assert query(polygons(run), "SELECT count(*) FROM segments WHERE class = 'lake'") == [(0,)]


def test_a_layer_of_somebody_else_stays(run: Path, samples: Path) -> None:
    edit(polygons(run), "CREATE TABLE classes (mine TEXT)")
    refuses(run, "--samples", samples, parts=("has a layer classes of somebody else",))


def test_a_layer_without_ids_is_refused(run: Path, samples: Path) -> None:
    edit(polygons(run, "second"), "ALTER TABLE segments RENAME COLUMN segment_id TO old")
    refuses(run, "--samples", samples, parts=("has no column segment_id",))


def test_foreign_and_duplicate_features_stay(run: Path, samples: Path) -> None:
    edit(
        polygons(run),
        "INSERT INTO segments (geom, segment_id) SELECT geom, segment_id FROM segments "
        "WHERE segment_id = 2",
        "INSERT INTO segments (geom, segment_id) SELECT geom, 99999 FROM segments LIMIT 1",
    )
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    rows = query(polygons(run), "SELECT class IS NULL FROM segments WHERE segment_id = 2")
    assert rows == [(0,), (1,)]
    assert query(polygons(run), "SELECT class FROM segments WHERE segment_id = 99999") == [(None,)]


def test_polygons_that_are_open_elsewhere(run: Path, samples: Path) -> None:
    with other_program(polygons(run), WAL, "BEGIN IMMEDIATE") as program:
        program.edit("UPDATE segments SET cluster = 1")
        refused(alps_geo("classify", run, "--samples", samples), "another program holds it")
        assert not (run / "classes.npz").exists()
        assert not (run / "first" / "classes.tif").exists()


def test_images_have_no_place_for_samples(image_run: Path, samples: Path) -> None:
    refuses(image_run, "--samples", samples, parts=("holds masks of images",))


def test_disagreeing_samples_are_told_and_most_pixels_decide(run: Path, tmp_path: Path) -> None:
    found = segments(run)
    large = found.sort_values("area_m2").index[-3:]
    shapes = [found.loc[large[0]].geometry, found.loc[large[0]].geometry.representative_point()]
    shapes += [found.loc[large[1]].geometry.representative_point()] * 2
    shapes += [found.loc[large[2]].geometry.representative_point()]
    file = write(tmp_path / "both.gpkg", ["a", "b", "a", "b", "b"], shapes, found.crs)
    outcome = alps_geo("classify", run, "--samples", file, "--json")
    (note,) = json.loads(outcome.stdout)["notes"]
    assert "2 segments hold samples of several classes" in note
    assert "1 is left out as undecided" in note
    now = segments(run)
    assert now.loc[large[0], "class"] == "a"
    assert now.loc[large[0], "class_confidence"] == 1
    assert now.loc[large[1], "class_confidence"] < 1


def test_similar_segments_are_a_layer_and_a_table(run: Path) -> None:
    outcome = alps_geo("similar", run, "--segment", 4, "--scene", "second", "--count", 5)
    assert outcome.exit_code == 0, outcome.stderr
    found = gpd.read_file(run / "similar.gpkg", layer="similar")
    assert found["rank"].tolist() == list(range(6))
    assert (found["scene"][0], found["segment_id"][0], found["distance"][0]) == ("second", 4, 0)
    assert found["distance"].is_monotonic_increasing
    assert set(found["scene"]) <= set(SCENES)
    shown = segments(run, "second").loc[4].geometry
    assert found.geometry[0].equals(shown)
    point = shown.representative_point()
    again = alps_geo("similar", run, f"--to={point.x},{point.y}", "--count", 5, "--json")
    listed = json.loads(again.stdout)["segments"]
    assert [each["segment_id"] for each in listed] == found["segment_id"].tolist()


def test_nothing_similar_is_found_to_nothing(untouched: Path) -> None:
    for options, part in (
        (("--segment", 4), "give one as --scene"),
        (("--segment", 9999, "--scene", "first"), "there is no segment 9999 in first"),
        (("--to", "1,2"), "1,2 lies outside of first, second"),
        (("--segment", 4, "--scene", "third"), "there is no scene 'third'"),
    ):
        outcome = alps_geo("similar", untouched, *options)
        assert outcome.exit_code == 2
        assert outcome.stderr.count("\n") == 1
        assert part in outcome.stderr
    assert alps_geo("similar", untouched).exit_code == 2
    outcome = alps_geo("similar", untouched, "--to", "1,1", "--out", untouched / "sim.shp")
    assert (outcome.exit_code, outcome.stderr.count("\n")) == (2, 1)
    assert "ends in .gpkg" in outcome.stderr
    assert alps_geo("similar", untouched, "--to", "here").exit_code == 2


def test_labelling_again_lets_classes_go_with_a_note(
    finished: Path, run: Path, samples: Path
) -> None:
    done(alps_geo("classify", run, "--samples", samples, "--quiet"))
    scenes = [finished.parent / f"{name}.tif" for name in SCENES]
    options = ("--points", "grid:2", "--clusters", 3, "--out", run, "--overwrite")
    outcome = alps_geo("label", *scenes, *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert "the classes of the segments of before are gone" in outcome.stderr
    assert f"alps-geo classify {run} --model {run / 'classes.npz'} classifies" in outcome.stderr
    assert json.loads((run / "run.json").read_text()).get("classes") is None
    assert not list(run.rglob("classes.tif"))
    assert "class" not in segments(run).columns
    done(alps_geo("classify", run, "--model", run / "classes.npz", "--quiet"))
    assert (classes(run) > 0).sum() == (ids(run) > 0).sum()
