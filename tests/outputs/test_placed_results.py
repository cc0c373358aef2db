"""`alps-geo label` on scenes that are placed by control points, by nothing, or south-up."""

import base64
import json
import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from helpers import DATA, alps_geo
from numpy.typing import NDArray
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.windows import Window

from alps_geo.review.crops import Pick, draw_crop
from alps_geo.scene import open_scene

pytestmark = pytest.mark.usefixtures("images_encoded_once")

QUICK = (
    *("--points", "grid:2", "--superpixel-size", "8"),
    *("--clusters", "2", "--features", "sam+spectral"),
)
UTM = CRS.from_epsg(32617)
TURNED = Affine.translation(404211, 3285102) @ Affine.rotation(15) @ Affine.scale(0.5, -0.5)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Reading results that lie nowhere is no fault here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


def write(
    path: Path, *, gcps: list[GroundControlPoint] | None = None, turn: int = 1, **profile: Any
) -> Path:
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as source:
        pixels = source.read(window=Window(0, 0, 80, 60))[:, ::turn]
    shape = {"height": 60, "width": 80, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **shape, **profile) as target:
        target.write(pixels)
        if gcps is not None:
            target.gcps = (gcps, UTM)
    return path


def label(scene: Path, out: Path, *options: str) -> Path:
    outcome = alps_geo("label", scene, "--out", out, *QUICK, *options)
    assert outcome.exit_code == 0, outcome.stderr
    return out / scene.stem


def segments_of(folder: Path) -> gpd.GeoDataFrame:
    return gpd.read_file(folder / "segments.gpkg", layer="segments")


def burnt(segments: gpd.GeoDataFrame, column: str, transform: Affine) -> NDArray[np.uint32]:
    shapes = zip(segments.geometry, segments[column], strict=True)
    drawn: NDArray[np.uint32] = rasterize(
        shapes, out_shape=(60, 80), transform=transform, dtype=np.uint32
    )
    return drawn


@pytest.mark.parametrize("driver", ["GTiff", "PNG", "JPEG"])
def test_results_of_a_picture_lie_on_it_in_gis_programs(driver: str, tmp_path: Path) -> None:
    """They draw what has no geotransform with its first row from 0 downwards."""
    folder = label(write(tmp_path / "a.img", driver=driver), tmp_path / "out")
    segments = segments_of(folder)
    assert segments.total_bounds.tolist() == [0, -60, 80, 0]
    for name, column in (("segments", "segment_id"), ("labels", "cluster")):
        with (
            pytest.warns(rasterio.errors.NotGeoreferencedWarning),
            rasterio.open(folder / f"{name}.tif") as raster,
        ):
            values = raster.read(1)
        # No tag for a scale of pixels (33550), tie points (33922) or a matrix (34264).
        with Image.open(folder / f"{name}.tif") as tiff:
            assert not {33550, 33922, 34264} & set(tiff.tag_v2)  # type: ignore[attr-defined]
        sidecars = [path.read_text() for path in folder.glob("*.aux.xml")]
        assert not any("GeoTransform" in text or "SRS" in text for text in sidecars)
        np.testing.assert_array_equal(burnt(segments, column, Affine.scale(1, -1)), values)


def test_results_of_a_picture_change_and_are_compared_with_truth(tmp_path: Path) -> None:
    scene = write(tmp_path / "a.png", driver="PNG")
    folder = label(scene, tmp_path / "out")
    assert alps_geo("clusters", "recolor", tmp_path / "out", "1=#123456").exit_code == 0
    assert alps_geo("clusters", "gallery", tmp_path / "out").exit_code == 0
    labels = folder / "labels.tif"
    with Image.open(labels) as tiff:
        assert not {33550, 33922, 34264} & set(tiff.tag_v2)  # type: ignore[attr-defined]
    segments_of(folder)[["cluster", "geometry"]].to_file(tmp_path / "truth.gpkg")
    for truth in (labels, tmp_path / "truth.gpkg"):
        out = ("--out", tmp_path / "quality", "--json")
        outcome = alps_geo("evaluate", "quality", labels, "--truth", truth, *out)
        assert outcome.exit_code == 0, outcome.stderr
        assert json.loads(outcome.stdout)["majority"]["accuracy"] == 1


def test_results_of_a_scene_with_control_points_lie_on_the_map(tmp_path: Path) -> None:
    corners = [(row, col) for row in (0, 60) for col in (0, 40, 80)]
    gcps = [GroundControlPoint(r, c, *(TURNED @ (c, r)), 0.0) for r, c in corners]
    scene = write(tmp_path / "a.tif", gcps=gcps)
    folder = label(scene, tmp_path / "out")
    segments = segments_of(folder)
    assert segments.crs == UTM
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["area_unit"] == "m2"
    assert segments["area_m2"].sum() == pytest.approx(60 * 80 * 0.25, rel=0.02)
    # On the ground, segments cover what the scene does.
    x, y = TURNED @ np.array([[0, 80, 80, 0], [0, 0, 60, 60]], float)
    expected = [min(x), min(y), max(x), max(y)]
    np.testing.assert_allclose(segments.total_bounds, expected, atol=0.8)
    with rasterio.open(folder / "labels.tif") as raster:
        assert (raster.crs, raster.gcps[0]) == (UTM, [])
        assert raster.shape == tuple(record["scenes"][0][side] for side in ("height", "width"))
        np.testing.assert_allclose(raster.bounds, expected, atol=0.8)
    assert alps_geo("clusters", "gallery", tmp_path / "out").exit_code == 0
    # Truth with the same control points comes onto the same map.
    truth = write(tmp_path / "truth.tif", gcps=gcps)
    with rasterio.open(truth) as source:
        halves = np.where(source.read(1) > 120, 2, 1).astype(np.uint8)
    with rasterio.open(
        tmp_path / "one.tif", "w", driver="GTiff", height=60, width=80, count=1, dtype="uint8"
    ) as target:
        target.write(halves, 1)
        target.gcps = (gcps, UTM)
    compared = alps_geo(
        *("evaluate", "quality", folder / "labels.tif", "--truth", tmp_path / "one.tif"),
        *("--out", tmp_path / "quality", "--json"),
    )
    assert compared.exit_code == 0, compared.stderr


def test_control_points_that_make_no_map_go_with_the_results(tmp_path: Path) -> None:
    gcps = [GroundControlPoint(i, i, 10.0 * i, 10.0 * i, 0.0) for i in range(4)]
    folder = label(write(tmp_path / "a.tif", gcps=gcps), tmp_path / "out")
    assert alps_geo("clusters", "recolor", tmp_path / "out", "1=#123456").exit_code == 0
    for name in ("labels.tif", "segments.tif"):
        with rasterio.open(folder / name) as raster:
            found, crs = raster.gcps
            assert crs == UTM
            assert [(p.row, p.col, p.x, p.y) for p in found] == [
                (i, i, 10 * i, 10 * i) for i in range(4)
            ]
            assert raster.transform.is_identity


def pictures(page: Path) -> list[NDArray[np.uint8]]:
    found = re.findall(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", page.read_text())
    return [
        np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGB")) for data in found
    ]


NORTH = Affine(0.1, 0, 404211, 0, -0.1, 3285102)
SOUTH = Affine(0.1, 0, 404211, 0, 0.1, 3285096)


@pytest.mark.parametrize(("transform", "turn"), [(NORTH, 1), (SOUTH, -1)], ids=["north", "south"])
def test_previews_and_maps_have_north_up(transform: Affine, turn: int, tmp_path: Path) -> None:
    scene = write(tmp_path / "a.tif", driver="GTiff", crs=UTM, transform=transform, turn=turn)
    folder = label(scene, tmp_path / "out")
    # Colours that the scene has nowhere.
    assert alps_geo("clusters", "recolor", folder.parent, "1=#ff0000", "2=#0000ff").exit_code == 0
    with rasterio.open(folder / "labels.tif") as raster:
        labels = raster.read(1)[::turn]
        colors = {cluster: raster.colormap(1)[cluster][:3] for cluster in (1, 2)}
    with Image.open(folder / "preview.png") as picture:
        preview = np.asarray(picture.convert("RGB"))
    colored = np.any([np.all(preview == colors[cluster], axis=-1) for cluster in (1, 2)], axis=0)
    top = np.flatnonzero(colored.sum(axis=1) > 400)[0]
    left = np.flatnonzero(colored.sum(axis=0) > 300)[0]
    # Six pixels for one of the scene, and the scene itself left of its labels.
    panel = preview[top : top + 360 : 6, left : left + 480 : 6]
    np.testing.assert_array_equal(np.all(panel == colors[2], axis=-1), labels == 2)
    gap = round(3 * preview.shape[1] / 250)
    seen = preview[top : top + 360 : 6, left - 480 - gap : left - gap : 6]
    with rasterio.open(scene) as source:
        np.testing.assert_array_equal(seen, np.moveaxis(source.read(), 0, -1)[::turn])

    assert alps_geo("clusters", "gallery", folder.parent).exit_code == 0
    maps = [each for each in pictures(folder.parent / "gallery.html") if each.shape == (60, 80, 3)]
    for cluster, drawn in zip((1, 2), maps, strict=True):
        near = np.abs(drawn.astype(int) - colors[cluster]).max(axis=-1) < 60
        assert (near == (labels == cluster)).mean() > 0.9


def test_crops_have_north_up(tmp_path: Path) -> None:
    geometry = shapely.box(404214, 3285098, 404216, 3285100)
    crops = []
    for name, transform, turn in (("north", NORTH, 1), ("south", SOUTH, -1)):
        path = write(
            tmp_path / f"{name}.tif", driver="GTiff", crs=UTM, transform=transform, turn=turn
        )
        scene = open_scene(str(path))
        crops.append(np.asarray(draw_crop(scene, Pick(name, 1, 1.0), geometry).image))
    # The outline is drawn with a pen of two pixels, which has no middle.
    assert (crops[0] == crops[1]).all(axis=-1).mean() > 0.9
    assert (crops[0] == crops[1][::-1]).all(axis=-1).mean() < 0.5
