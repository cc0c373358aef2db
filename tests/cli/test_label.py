"""`alps-geo label` on real scenes, and what it leaves on disk."""

import json
import shutil
import sqlite3
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from helpers import DATA, alps_geo
from PIL import Image
from pyproj import Geod
from rasterio.features import rasterize
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from alps_geo.masks import sam1
from alps_geo.sam.model import load_model
from alps_geo.scene import open_scene, read_tile

pytestmark = pytest.mark.usefixtures("images_encoded_once")

# Three kinds of scene: 8-bit RGB with nodata 255, 16-bit blue first, and one band with nodata in
# degrees. Small tiles and few points, so that several tiles are stitched in little time.
SCENES = ("neon_osbs_10cm", "sentinel2_uint16_4band", "landsat5_int16_1band")
QUICK = ("--tile-size", "352", "--points", "grid:4", "--clusters", "6")


def paths(*names: str) -> list[Path]:
    return [DATA / f"{name}.tif" for name in names]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("label") / "out"
    outcome = alps_geo("label", *paths(*SCENES), "--out", out, *QUICK)
    assert outcome.exit_code == 0, outcome.stderr
    return out


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("file", ["labels.tif", "segments.tif"])
def test_rasters_are_valid_cogs_on_the_grid_of_the_scene(run: Path, name: str, file: str) -> None:
    valid, errors, warnings = cog_validate(run / name / file, quiet=True)
    assert valid, errors
    assert not warnings
    with rasterio.open(DATA / f"{name}.tif") as scene, rasterio.open(run / name / file) as result:
        assert result.shape == scene.shape
        assert result.transform == scene.transform
        assert result.crs == scene.crs
        assert result.nodata == 0
        assert result.count == 1


@pytest.mark.parametrize("name", SCENES)
def test_labels_are_the_clusters_of_segments(run: Path, name: str) -> None:
    segments = gpd.read_file(run / name / "segments.gpkg", layer="segments")
    with rasterio.open(run / name / "segments.tif") as raster:
        assert raster.dtypes == ("uint32",)
        ids = raster.read(1)
    with rasterio.open(run / name / "labels.tif") as raster:
        assert raster.dtypes == ("uint8",)
        assert raster.descriptions == ("cluster",)
        labels = raster.read(1)
        colors = raster.colormap(1)
    assert sorted(segments["segment_id"]) == list(range(1, ids.max() + 1))
    cluster_of_id = np.zeros(ids.max() + 1, dtype=np.uint8)
    cluster_of_id[segments["segment_id"]] = segments["cluster"]
    np.testing.assert_array_equal(labels, cluster_of_id[ids])
    assert set(segments["cluster"]) <= set(range(1, 7))
    assert len({colors[i] for i in range(1, 7)}) == 6


@pytest.mark.parametrize("name", SCENES)
def test_polygons_are_exactly_the_regions_of_the_segments(run: Path, name: str) -> None:
    segments = gpd.read_file(run / name / "segments.gpkg", layer="segments")
    with rasterio.open(run / name / "segments.tif") as raster:
        ids = raster.read(1)
        burnt = rasterize(
            zip(segments.geometry, segments["segment_id"], strict=True),
            out_shape=raster.shape,
            transform=raster.transform,
            dtype=np.uint32,
        )
        assert segments.crs == raster.crs
    np.testing.assert_array_equal(burnt, ids)
    assert segments.geometry.is_valid.all()
    assert not segments.geometry.is_empty.any()
    shapes = segments.geometry.to_numpy()
    whole = shapely.area(shapely.union_all(shapes))
    assert shapely.area(shapes).sum() == pytest.approx(whole, rel=1e-9)


def test_areas_are_true_also_in_degrees(run: Path) -> None:
    segments = gpd.read_file(run / "landsat5_int16_1band" / "segments.gpkg", layer="segments")
    assert segments.crs.to_epsg() == 4326
    geod = Geod(ellps="WGS84")
    # An edge along a parallel is no geodesic, so it is cut into short ones first.
    shapes = shapely.segmentize(segments.geometry.to_numpy(), 0.002)
    expected = [abs(geod.geometry_area_perimeter(shape)[0]) for shape in shapes]
    np.testing.assert_allclose(segments["area_m2"], expected, rtol=1e-5)


def test_band_means_are_those_of_the_scene(run: Path) -> None:
    name = "sentinel2_uint16_4band"
    segments = gpd.read_file(run / name / "segments.gpkg", layer="segments").sort_values(
        "segment_id"
    )
    with rasterio.open(run / name / "segments.tif") as raster:
        ids = raster.read(1)
    with rasterio.open(DATA / f"{name}.tif") as scene:
        bands = scene.read()
    for number, band in enumerate(("blue", "green", "red", "nir")):
        means = [bands[number][ids == i].mean() for i in segments["segment_id"]]
        np.testing.assert_allclose(segments[f"mean_{band}"], means, rtol=1e-6)


@pytest.mark.parametrize("name", SCENES)
def test_every_valid_pixel_has_a_label_and_no_other(run: Path, name: str) -> None:
    scene = open_scene(str(DATA / f"{name}.tif"))
    valid = read_tile(scene, Window(0, 0, scene.width, scene.height)).valid
    for file in ("labels.tif", "segments.tif"):
        with rasterio.open(run / name / file) as raster:
            np.testing.assert_array_equal(raster.read(1) > 0, valid)
    record = json.loads((run / "run.json").read_text())
    assert record["labelled_share"] == 1


@pytest.mark.parametrize("name", SCENES)
def test_segments_say_whether_sam_found_them(run: Path, name: str) -> None:
    segments = gpd.read_file(run / name / "segments.gpkg", layer="segments")
    filled = segments["source"] == "fill"
    assert set(segments["source"]) == {"sam", "fill"}
    assert segments.loc[~filled, "predicted_iou"].between(0.7, 1.1).all()
    # Superpixels are small; only what belongs to no mask at all has no score.
    side = 16
    assert segments.loc[filled, "area_m2"].median() < segments["area_m2"].sum() / 50
    assert segments["predicted_iou"].isna().sum() > filled.sum() / 2
    with rasterio.open(run / name / "segments.tif") as raster:
        sizes = np.bincount(raster.read(1).ravel())[1:]
    ordered = segments.sort_values("segment_id")["source"].to_numpy()
    assert np.median(sizes[ordered == "fill"]) < 4 * side**2


def test_without_a_fill_gaps_stay_and_the_features_are_those_asked_for(tmp_path: Path) -> None:
    quick = ("--points", "grid:6", "--clusters", "2")
    features = ("--fill", "none", "--features", "spectral+context+shape")
    outcome = alps_geo("label", *paths("neon_osbs_10cm"), "--out", tmp_path, *quick, *features)
    assert outcome.exit_code == 0, outcome.stderr
    record = json.loads((tmp_path / "run.json").read_text())
    (scene,) = record["scenes"]
    assert record["labelled_share"] < 1
    # All pixels of this scene are nearly of one size.
    by_pixels = scene["labelled_pixels"] / scene["valid_pixels"]
    assert record["labelled_share"] == pytest.approx(by_pixels, rel=1e-5)
    segments = gpd.read_file(tmp_path / "neon_osbs_10cm" / "segments.gpkg", layer="segments")
    assert set(segments["source"]) == {"sam"}
    with np.load(tmp_path / "clusters.npz", allow_pickle=False) as arrays:
        groups = {name.split(".")[0] for name in arrays["projection.column_names"]}
    assert groups == {"mean", "context", "shape"}


def test_pixels_without_data_carry_no_label(run: Path) -> None:
    name = "landsat5_int16_1band"
    with rasterio.open(DATA / f"{name}.tif") as scene:
        nodata = scene.read(1) == -9999
    with rasterio.open(run / name / "labels.tif") as raster:
        labels = raster.read(1)
    assert not labels[nodata].any()
    assert labels[~nodata].any()


@pytest.mark.parametrize("name", SCENES)
def test_qgis_finds_a_default_style_by_cluster(run: Path, name: str) -> None:
    with sqlite3.connect(run / name / "segments.gpkg") as database:
        rows = database.execute(
            "SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault"
        ).fetchall()
    database.close()
    ((layer, qml),) = rows
    assert layer == "segments"
    assert 'attr="cluster"' in qml


@pytest.mark.parametrize("name", SCENES)
def test_the_preview_is_a_picture(run: Path, name: str) -> None:
    with Image.open(run / name / "preview.png") as picture:
        assert picture.width > 500
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100


def test_the_record_says_what_was_run_on_what(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    assert [scene["name"] for scene in record["scenes"]] == list(SCENES)
    assert record["settings"]["tile_size"] == 352
    assert record["settings"]["seed"] == 0
    assert len(record["model"]["sha256"]) == 64
    assert {"torch", "rasterio", "gdal", "alps-geo"} <= set(record["versions"])
    for scene, path in zip(record["scenes"], paths(*SCENES), strict=True):
        assert scene["size_bytes"] == path.stat().st_size
        assert scene["mtime"] == path.stat().st_mtime
    assert sum(c["segments"] for c in record["clusters"]) == record["segments"]
    assert sum(c["share"] for c in record["clusters"]) == pytest.approx(record["labelled_share"])
    # Of the ground and not of pixels, which are 0.1, 10 and 30 m wide here.
    assert record["area_unit"] == "m2"
    area = sum(c["area"] for c in record["clusters"])
    for cluster in record["clusters"]:
        assert cluster["share"] == pytest.approx(cluster["area"] / area)


def test_the_cluster_model_holds_plain_arrays(run: Path) -> None:
    with np.load(run / "clusters.npz", allow_pickle=False) as arrays:
        assert set(arrays["tree.clusters"]) == {1, 2, 3, 4, 5, 6}
        assert len(arrays["tree.centers"]) > 6
        # Of scenes with other bands, only what has no band is compared.
        assert {name.split(".")[0] for name in arrays["projection.column_names"]} == {
            "sam",
            "texture",
        }
        assert len(arrays["projection.kinds"]) == 3


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_run_twice_gives_the_same_bytes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The encoder is asked again, too.
    monkeypatch.setattr(sam1, "load_model", load_model)
    again = alps_geo("label", *paths(*SCENES), "--out", tmp_path / "again", *QUICK)
    assert again.exit_code == 0
    first, second = files_of(run), files_of(tmp_path / "again")
    assert first.keys() == second.keys()
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"run.json"}


def test_a_finished_run_is_not_run_again(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    outcome = alps_geo("label", *paths(*SCENES), "--out", run, *QUICK)
    assert outcome.exit_code == 0
    assert "segments in 6 clusters" in outcome.stdout
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def test_another_spelling_of_a_path_is_the_same_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    link = tmp_path / "link"
    link.symlink_to(DATA, target_is_directory=True)
    monkeypatch.chdir(DATA)
    first, *others = (f"{name}.tif" for name in SCENES)
    for scenes in ([first, *others], [link / first, *(f"./{name}" for name in others)]):
        outcome = alps_geo("label", *scenes, "--out", run, *QUICK)
        assert outcome.exit_code == 0, outcome.stderr
    # Another name is other results, whatever file it leads to.
    renamed = tmp_path / "renamed.tif"
    renamed.symlink_to(DATA / first)
    assert alps_geo("label", renamed, *others, "--out", run, *QUICK).exit_code == 1
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def test_a_run_goes_on_from_the_tiles_that_are_there(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run, out)
    kept = sorted((out / ".tiles").rglob("*.outlines.npz"))
    kept.pop().unlink()
    shutil.rmtree(out / SCENES[0])
    before = {path: path.stat().st_mtime_ns for path in kept}
    outcome = alps_geo("label", *paths(*SCENES), "--out", out, *QUICK)
    assert outcome.exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in kept}
    first, second = files_of(run), files_of(out)
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} <= {"run.json"}


def test_another_run_in_the_folder_is_refused_then_replaced(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run, out)
    before = files_of(out)
    other = [*paths(*SCENES), "--out", out, *QUICK, "--seed", "1", "--clusters", "4"]
    refused = alps_geo("label", *other)
    assert refused.exit_code == 1
    assert "holds another run" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert files_of(out) == before
    replaced = alps_geo("label", *other, "--overwrite")
    assert replaced.exit_code == 0
    record = json.loads((out / "run.json").read_text())
    assert len(record["clusters"]) == 4


def test_a_folder_a_glob_and_a_config_give_the_same_run(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    shutil.copy2(DATA / "neon_osbs_10cm.tif", folder)
    (folder / "notes.txt").write_text("not a raster")
    config = tmp_path / "run.toml"
    config.write_text(
        "tile-size = 400\npoints_per_side = 4\nclusters = 3\nbands = [1, 2, 3]\nseed = 0\n"
    )
    results: list[dict[str, bytes]] = []
    for scenes in (folder, folder / "*.tif"):
        out = tmp_path / f"out{len(results)}"
        outcome = alps_geo("label", scenes, "--out", out, "--config", config, "--json")
        assert outcome.exit_code == 0, outcome.stderr
        record = json.loads(outcome.stdout)
        assert record["settings"]["bands"] == [1, 2, 3]
        assert len(record["clusters"]) == 3
        results.append(files_of(out / "neon_osbs_10cm"))
    assert results[0] == results[1]


def test_the_record_of_a_run_is_a_config_for_the_same_run(run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    outcome = alps_geo("label", "--config", run / "run.json", "--out", run, "--quiet")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout == ""
    assert outcome.stderr == ""
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def test_fewer_segments_than_the_default_number_of_clusters_is_said(tmp_path: Path) -> None:
    few = ("--points", "grid:2", "--fill", "none")
    outcome = alps_geo("label", *paths("landsat5_int16_1band"), "--out", tmp_path, *few)
    assert outcome.exit_code == 0, outcome.stderr
    assert "note: fewer segments than 24, so one cluster for each: " in outcome.stderr


def test_more_clusters_than_eyes_tell_apart_are_said(tmp_path: Path) -> None:
    options = ("--points", "none", "--clusters", 40)
    outcome = alps_geo("label", *paths("landsat5_int16_1band"), "--out", tmp_path, *options)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr.count("40 clusters, more than the 32 whose colours can all be told") == 1


def test_simplified_polygons_leave_no_gap_and_rasters_are_the_same(
    run: Path, tmp_path: Path
) -> None:
    name = "landsat5_int16_1band"
    out = tmp_path / "out"
    shutil.copytree(run / ".tiles", out / ".tiles")
    outcome = alps_geo(
        "label", *paths(*SCENES), "--out", out, *QUICK, "--simplify", "120", "--overwrite"
    )
    assert outcome.exit_code == 0, outcome.stderr
    for file in ("labels.tif", "segments.tif"):
        assert (out / name / file).read_bytes() == (run / name / file).read_bytes()
    exact = gpd.read_file(run / name / "segments.gpkg", layer="segments").sort_values("segment_id")
    simple = gpd.read_file(out / name / "segments.gpkg", layer="segments").sort_values("segment_id")
    assert simple["segment_id"].tolist() == exact["segment_id"].tolist()
    assert shapely.coverage_is_valid(simple.geometry.to_numpy())
    vertices = [shapely.get_num_coordinates(f.geometry.to_numpy()).sum() for f in (exact, simple)]
    assert vertices[1] < vertices[0] / 2
    # Both measures are of what is drawn, and those of the pixels have names of their own.
    geod = Geod(ellps="WGS84")
    # Geod takes holes for what runs the other way round.
    drawn = shapely.orient_polygons(shapely.segmentize(simple.geometry.to_numpy(), 0.002))
    grounds = np.array([abs(geod.geometry_area_perimeter(shape)[0]) for shape in drawn])
    outlines = np.array([geod.geometry_length(shape.boundary) for shape in drawn])
    np.testing.assert_allclose(simple["area_m2"], grounds, rtol=1e-4)
    np.testing.assert_allclose(simple["perimeter_m"], outlines, rtol=1e-4)
    assert (abs(simple["area_m2"] / exact["area_m2"].to_numpy() - 1) > 0.01).mean() > 0.5
    assert simple["perimeter_m"].sum() < 0.95 * exact["perimeter_m"].sum()
    for measure in ("area_m2", "perimeter_m"):
        np.testing.assert_array_equal(simple[f"raster_{measure}"], exact[measure])
        assert f"raster_{measure}" not in exact.columns
    # Clusters are as large as their pixels, also when they are counted again from the polygons.
    records = [json.loads((folder / "run.json").read_text()) for folder in (run, out)]
    areas = [[each["area"] for each in record["clusters"]] for record in records]
    assert areas[0] == areas[1]
    merged = alps_geo("clusters", "merge", out, "1", "2")
    assert merged.exit_code == 0, merged.stderr
    after = [each["area"] for each in json.loads((out / "run.json").read_text())["clusters"]]
    assert after == pytest.approx([areas[0][0] + areas[0][1], *areas[0][2:]], rel=1e-9)
    # 120 m are four pixels here, in a CRS whose unit is another than metres.
    assert simple.crs.is_geographic
    moved = shapely.hausdorff_distance(simple.geometry.to_numpy(), exact.geometry.to_numpy())
    assert np.median(moved) < 0.0025
