"""The project of QGIS: layers and their order, paths that outlive a move, legends that follow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
from class_samples import points
from edited_runs import SCENES, contents, done, edit, finished_crops, polygons, query
from helpers import DATA, alps_geo
from in_qgis import in_qgis
from rasterio.windows import Window

from alps_geo.outputs.names import PROJECT
from alps_geo.outputs.project import imagery_source
from alps_geo.runs.run import read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

QUICK = ("--points", "grid:2", "--clusters", "3", "--quiet")

PROGRAM = "qgis_project.py"

pytestmark = pytest.mark.usefixtures("images_encoded_once")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Copy scenes and their run, in out."""
    return Path(shutil.copytree(finished_crops(tmp_path_factory), tmp_path / "place"))


def project(run: Path) -> ET.Element:
    with ZipFile(run / PROJECT) as archive:
        return ET.fromstring(archive.read("alps.qgs"))


def layer(run: Path, name: str) -> ET.Element:
    layers = project(run).iter("maplayer")
    (found,) = (each for each in layers if each.findtext("layername") == name)
    return found


def legend(run: Path, name: str) -> dict[int, tuple[str, str]]:
    entries = [each.attrib for each in layer(run, name).iter("paletteEntry")]
    return {int(each["value"]): (each["color"], each["label"]) for each in entries}


def tree(run: Path) -> dict[str, list[tuple[str, bool]]]:
    (root,) = project(run).findall("layer-tree-group")
    return {
        group.attrib["name"]: [
            (each.attrib["name"], each.attrib["checked"] == "Qt::Checked")
            for each in group.findall("layer-tree-layer")
        ]
        for group in root.findall("layer-tree-group")
    }


def label(scenes: Sequence[Path], out: Path, *more: str) -> None:
    outcome = alps_geo("label", *scenes, "--out", out, *QUICK, *more)
    assert outcome.exit_code == 0, outcome.stderr


def crop(source: str, path: Path, **changed: Any) -> Path:
    with rasterio.open(DATA / f"{source}.tif") as scene:
        pixels = scene.read(window=Window(0, 0, 64, 64))
        profile = {**scene.profile, "width": 64, "height": 64, "tiled": False, **changed}
    with rasterio.open(path, "w", **profile) as small:
        small.write(pixels)
    return path


def test_layers_lie_in_a_group_for_each_scene_imagery_below(folder: Path) -> None:
    kinds = {"segments": True, "patches": False, "labels": True, "imagery": True}
    expected = {name: [(f"{name} {kind}", on) for kind, on in kinds.items()] for name in SCENES}
    assert tree(folder / "out") == expected
    assert PROJECT in json.loads((folder / "out/run.json").read_text())["files"]


def test_labels_are_half_transparent_and_segments_have_no_fill(folder: Path) -> None:
    (renderer,) = layer(folder / "out", "first labels").iter("rasterrenderer")
    assert float(renderer.attrib["opacity"]) == 0.5
    fills = [
        option.attrib["value"]
        for option in layer(folder / "out", "first segments").iterfind("renderer-v2//Option")
        if option.get("name") == "style"
    ]
    assert set(fills) == {"no"}


def test_every_style_of_the_segments_can_be_chosen_in_the_menu_of_the_layer(folder: Path) -> None:
    run = folder / "out"
    done(alps_geo("clusters", "name", run, "2=road & <tar>", "--quiet"))
    done(alps_geo("classify", run, "--samples", points(run, folder / "points.gpkg"), "--quiet"))
    (manager,) = layer(run, "second segments").iter("map-layer-style-manager")
    assert manager.attrib["current"] == "outlines"
    found = {each.attrib["name"]: each.find("qgis") for each in manager}
    assert list(found) == ["outlines", "clusters", "classes", "confidence", "source"]
    stored = dict(
        query(polygons(run), "SELECT styleName, styleQML FROM layer_styles ORDER BY id DESC")
    )
    for name, style in found.items():
        if name == "outlines":
            assert style is None
        else:
            assert style is not None
            assert ET.canonicalize(ET.tostring(style, "unicode"), strip_text=True) == (
                ET.canonicalize(stored[name], strip_text=True)
            )


def test_every_source_is_found_from_the_folder_after_a_move(folder: Path) -> None:
    moved = folder.rename(folder.with_name("moved"))
    sources = [each.findtext("datasource", "") for each in project(moved / "out").iter("maplayer")]
    assert len(sources) == 8
    for source in sources:
        assert source.startswith(("./", "../"))
        assert (moved / "out" / source.split("|")[0]).is_file()


def test_imagery_that_moved_with_the_run_keeps_its_path(folder: Path) -> None:
    record = folder / "out/run.json"
    # As if the copy were all there is.
    record.write_text(record.read_text().replace("/edits/", "/edits-that-are-gone/"))
    moved = folder.rename(folder.with_name("moved"))
    done(alps_geo("clusters", "name", moved / "out", "2=road", "--quiet"))
    assert layer(moved / "out", "second imagery").findtext("datasource") == "../second.tif"


def test_the_view_holds_all_scenes_in_the_crs_of_the_first(folder: Path) -> None:
    root = project(folder / "out")
    (view,) = root.iter("DefaultViewExtent")
    bounds = []
    for name in SCENES:
        with rasterio.open(folder / f"{name}.tif") as scene:
            bounds.append(scene.bounds)
    left, bottom, right, top = (float(view.attrib[k]) for k in ("xmin", "ymin", "xmax", "ymax"))
    assert left < min(each.left for each in bounds)
    assert right > max(each.right for each in bounds)
    assert bottom < min(each.bottom for each in bounds)
    assert top > max(each.top for each in bounds)
    assert right - left < 2 * (bounds[0].right - bounds[0].left)
    assert root.findtext("projectCrs/spatialrefsys/authid") == "EPSG:26918"


def test_the_view_of_scenes_on_two_continents_holds_the_first(tmp_path: Path) -> None:
    here = crop("naip_md_1m", tmp_path / "here.tif")
    there = crop("sentinel2_uint16_4band", tmp_path / "there.tif")
    label([here, there], tmp_path / "out")
    (view,) = project(tmp_path / "out").iter("DefaultViewExtent")
    with rasterio.open(here) as scene:
        assert float(view.attrib["xmin"]) == pytest.approx(scene.bounds.left - 64 * 0.03)
        assert float(view.attrib["ymax"]) == pytest.approx(scene.bounds.top + 64 * 0.03)


def test_the_same_run_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    for place in (folder, other):
        done(alps_geo("clusters", "name", place / "out", "2=road", "--quiet"))
    assert (folder / "out" / PROJECT).read_bytes() == (other / "out" / PROJECT).read_bytes()
    with ZipFile(folder / "out" / PROJECT) as archive:
        (entry,) = archive.infolist()
    assert entry.date_time[0] == 1980


def test_the_legend_follows_names_colours_and_merged_clusters(folder: Path) -> None:
    run = folder / "out"
    done(alps_geo("clusters", "name", run, "2=road & <tar>", "--quiet"))
    assert "road & <tar>" in legend(run, "first labels")[2][1]
    done(alps_geo("clusters", "recolor", run, "2=#123456", "--quiet"))
    done(alps_geo("clusters", "merge", run, "1", "3", "--quiet"))
    found = legend(run, "second labels")
    assert found[2][0] == "#123456"
    assert list(found) == list(read_model(run / "clusters.npz").legend.palette)


def test_classes_are_a_layer_over_the_labels_and_stay_one(folder: Path) -> None:
    run = folder / "out"
    done(alps_geo("classify", run, "--samples", points(run, folder / "points.gpkg"), "--quiet"))
    shown = {"segments": True, "patches": False, "classes": True, "labels": False, "imagery": True}
    for _ in range(2):
        assert tree(run)["second"] == [(f"second {kind}", on) for kind, on in shown.items()]
        (renderer,) = layer(run, "second patches").iter("renderer-v2")
        assert renderer.attrib["attr"] == "class"
        names = " ".join(text for _, text in legend(run, "first classes").values())
        assert all(word in names for word in ("wood", "grass", "road"))
        done(alps_geo("clusters", "name", run, "2=tar", "--quiet"))


def test_a_run_of_an_earlier_version_gets_none_before_it_is_labelled_again(folder: Path) -> None:
    run = folder / "out"
    (run / PROJECT).unlink()
    record = json.loads((run / "run.json").read_text())
    record["files"].remove(PROJECT)
    (run / "run.json").write_text(json.dumps(record))
    done(alps_geo("clusters", "name", run, "2=tar", "--quiet"))
    assert not (run / PROJECT).exists()


def test_a_run_of_an_earlier_version_without_patches_has_no_layer_of_them(folder: Path) -> None:
    run = folder / "out"
    record = json.loads((run / "run.json").read_text())
    for name in SCENES:
        (run / name / "patches.gpkg").unlink()
        record["files"].remove(f"{name}/patches.gpkg")
    (run / "run.json").write_text(json.dumps(record))
    done(alps_geo("clusters", "name", run, "2=tar", "--quiet"))
    assert [name for name, _ in tree(run)["first"]] == [
        f"first {kind}" for kind in ("segments", "labels", "imagery")
    ]


def test_images_without_a_place_have_none(labelled_images: Path) -> None:
    assert (labelled_images / "clusters.npz").exists()
    assert PROJECT not in contents(labelled_images)


def test_sixteen_bits_are_stretched_as_for_the_masks(tmp_path: Path) -> None:
    scene = crop("sentinel2_uint16_4band", tmp_path / "scene.tif")
    label([scene], tmp_path / "out", "--bands", "3,2,1")
    (renderer,) = layer(tmp_path / "out", "scene imagery").iter("rasterrenderer")
    assert [renderer.attrib[f"{name}Band"] for name in ("red", "green", "blue")] == ["3", "2", "1"]
    with rasterio.open(scene) as raster:
        low, high = np.percentile(raster.read(3), (2, 98))
    assert float(renderer.findtext("redContrastEnhancement/minValue", "")) == pytest.approx(low)
    assert float(renderer.findtext("redContrastEnhancement/maxValue", "")) == pytest.approx(high)


def test_a_scene_without_a_crs_makes_a_project_without_one(tmp_path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        scene = crop("neon_osbs_10cm", tmp_path / "s.tif", crs=None, transform=None)
    label([scene], tmp_path / "out")
    root = project(tmp_path / "out")
    assert list(root.iter("wkt")) == []
    (view,) = root.iter("DefaultViewExtent")
    assert float(view.attrib["ymin"]) == pytest.approx(-64 * 1.03)
    assert float(view.attrib["xmax"]) == pytest.approx(64 * 1.03)


def test_remote_scenes_are_named_as_gdal_names_them(tmp_path: Path) -> None:
    assert imagery_source("https://a.b/c.tif", tmp_path) == "/vsicurl/https://a.b/c.tif"
    assert imagery_source("s3://a/c.tif", tmp_path) == "/vsis3/a/c.tif"
    assert imagery_source("NETCDF:sea.nc:sst", tmp_path) == "NETCDF:sea.nc:sst"


def test_a_link_that_leads_astray_makes_the_path_absolute(tmp_path: Path) -> None:
    (tmp_path / "far" / "away" / "out").mkdir(parents=True)
    (tmp_path / "scene.tif").touch()
    (tmp_path / "out").symlink_to(tmp_path / "far" / "away" / "out")
    found = imagery_source(str(tmp_path / "scene.tif"), tmp_path / "out")
    assert found == (tmp_path / "scene.tif").as_posix()
    inside = tmp_path / "out" / "scene.tif"
    inside.touch()
    assert imagery_source(str(inside), tmp_path / "out") == "./scene.tif"


def test_qgis_opens_the_moved_project_and_draws_all_layers(folder: Path) -> None:
    moved = folder.rename(folder.with_name("moved"))
    found = in_qgis(PROGRAM, moved / "out" / PROJECT)
    assert found["read"]
    assert found["crs"] == "EPSG:26918"
    assert len(found["layers"]) == 8
    for name, each in found["layers"].items():
        assert each["valid"]
        assert each["visible"] == (not name.endswith("patches"))
        assert each["inside"]
        assert each["colors"] > 2
    assert found["layers"]["first labels"]["opacity"] == 0.5
    assert found["layers"]["first patches"]["layer_opacity"] == 0.5
    assert found["all"] > max(each["colors"] for each in found["layers"].values()) / 2


def test_qgis_describes_every_segment_and_draws_those_without_a_category(folder: Path) -> None:
    run = folder / "out"
    done(alps_geo("clusters", "name", run, "2=road & <tar>", "--quiet"))
    path = polygons(run)
    edit(path, "UPDATE segments SET cluster = 99, cluster_name = NULL WHERE segment_id = 1")
    edit(path, "UPDATE segments SET cluster = NULL, confidence = NULL WHERE segment_id = 2")
    clusters = dict(query(path, "SELECT segment_id, cluster FROM segments"))
    (found,) = in_qgis(PROGRAM, run / PROJECT, f"{path}|layername=segments")["styled"]
    assert found["alias"] == "Name"
    assert found["legend"] == ["1", "road & <tar> (2)", "3", "4", "all other values"]
    shown = {int(segment): texts for segment, texts in found["features"].items()}
    assert shown[1][0] == "cluster 99"
    assert shown[2][0] == "no cluster"
    assert "confidence" not in shown[2][1]
    assert len(shown) == len(clusters)
    for segment, (display, tip) in shown.items():
        if segment > 2:
            number = clusters[segment]
            assert display == ("road & <tar> (2)" if number == 2 else f"cluster {number}")
            assert tip.startswith(f"<b>{display.replace('<', '&lt;')}</b><br>confidence 0")
            assert "m²" in tip


def test_qgis_opens_a_project_without_a_crs(tmp_path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        scene = crop("neon_osbs_10cm", tmp_path / "s.tif", crs=None, transform=None)
    label([scene], tmp_path / "out")
    found = in_qgis(PROGRAM, tmp_path / "out" / PROJECT)
    assert found["crs"] == ""
    for each in found["layers"].values():
        assert each["valid"]
        assert each["inside"]
        assert each["colors"] > 2
