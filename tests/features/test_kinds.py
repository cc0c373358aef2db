"""Scenes of one run: the same bands in another order, in other numbers, and other bands."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from helpers import DATA, alps_geo
from numpy.typing import NDArray
from rasterio.windows import Window

from alps_geo.errors import RunError
from alps_geo.features.kinds import check_known, in_one_order, scene_kind, with_kind_notes
from alps_geo.scene import Scene, open_scene, read_tile

pytestmark = pytest.mark.usefixtures("images_encoded_once")

QUICK = ("--tile-size", "96", "--points", "grid:2", "--clusters", "4")
NAMES = ("blue", "green", "red", "nir")
TURNED = (2, 3, 1, 0)


def crop(row: int, col: int) -> NDArray[np.uint16]:
    with rasterio.open(DATA / "sentinel2_uint16_4band.tif") as scene:
        pixels: NDArray[np.uint16] = scene.read(window=Window(col, row, 96, 96))
    return pixels


def write(
    path: Path,
    pixels: NDArray[Any],
    names: tuple[str, ...] = NAMES,
    tag: tuple[float, float] | None = None,
    **profile: Any,
) -> Path:
    count, height, width = pixels.shape
    with rasterio.open(DATA / "sentinel2_uint16_4band.tif") as like:
        profile = {"crs": like.crs, "transform": like.transform, "dtype": pixels.dtype, **profile}
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile) as dataset:
        dataset.write(pixels)
        dataset.descriptions = names
        if tag is not None:
            dataset.scales, dataset.offsets = (tag[0],) * count, (tag[1],) * count
    return path


def turned(path: Path, pixels: NDArray[Any], **profile: Any) -> Path:
    """Write the same scene with its bands in another order."""
    return write(path, pixels[list(TURNED)], tuple(NAMES[i] for i in TURNED), **profile)


def label(out: Path, *arguments: object) -> dict[str, Any]:
    outcome = alps_geo("label", *arguments, "--out", out, *QUICK, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    record: dict[str, Any] = json.loads(outcome.stdout)
    return record


def labels(folder: Path) -> NDArray[Any]:
    with rasterio.open(folder / "labels.tif") as raster:
        found: NDArray[Any] = raster.read(1)
    return found


def opened(folder: Path, *bands: tuple[str, ...], dtype: str = "uint16") -> list[Scene]:
    scenes = []
    for number, names in enumerate(bands):
        pixels = crop(0, 0)[: len(names)].astype(dtype)
        path = write(folder / f"{dtype}_{number}.tif", pixels, names, photometric="minisblack")
        scenes.append(open_scene(str(path)))
    return scenes


def test_scenes_share_the_order_of_the_first(tmp_path: Path) -> None:
    pixels = crop(0, 0)
    pixels[:, :8] = np.arange(8)[:, None]
    first = open_scene(str(write(tmp_path / "first.tif", pixels, nodata=3)))
    second = open_scene(str(turned(tmp_path / "second.tif", pixels, nodata=3, tag=(0.5, 2.0))))
    alike = open_scene(str(turned(tmp_path / "alike.tif", pixels, nodata=3)))
    ordered = in_one_order([first, alike, second])
    assert [scene_kind(scene) for scene in ordered] == [
        "uint16: blue, green, red, nir",
        "uint16: blue, green, red, nir",
        "scaled: red, nir, green, blue",
    ]
    window = Window(0, 0, 96, 96)
    one, other = (read_tile(scene, window) for scene in ordered[:2])
    for name in ("bands", "image", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert alike.names_in_file == ordered[1].names_in_file == ("red", "nir", "green", "blue")


def test_the_order_that_a_model_knows_goes_first(tmp_path: Path) -> None:
    one, other = opened(tmp_path, ("x", "y", "z"), ("z", "x", "y"))
    known = ("uint16: y, z, x", "uint16: z, x, y")
    # A model that knows both orders has a standardisation of each.
    kinds = [scene_kind(scene) for scene in in_one_order([one, other], known)]
    assert kinds == ["uint16: y, z, x", "uint16: z, x, y"]


def test_other_kinds_are_noted_on_the_scenes_that_have_them(tmp_path: Path) -> None:
    one, other = opened(tmp_path, ("x", "y", "z"), ("x", "y"))
    (byte,) = opened(tmp_path, ("x", "y", "z"), dtype="uint8")
    scenes = [one, other, byte]
    noted = with_kind_notes(scenes, ("sam", "spectral"), raw=False)
    new = [after.notes[len(before.notes) :] for before, after in zip(scenes, noted, strict=True)]
    assert new[0] == ()
    assert new[1] == (
        "its bands or their units (uint16: x, y) are others than of uint16_0 (uint16: x, y, z): "
        "it is standardised by itself, so a cluster need not mean the same in both",
    )
    assert "(uint8: x, y, z)" in new[2][0]
    fitted = with_kind_notes(
        scenes, ("sam", "spectral"), ("uint8: x, y, z", "uint16: x, y"), raw=False
    )
    assert ["first fitted to (uint8: x, y, z)" in scene.notes[-1] for scene in fitted] == [
        True,
        True,
        False,
    ]
    raw = with_kind_notes(scenes, ("sam", "spectral"), raw=True)
    assert "it is compared as it is, in its own units" in raw[1].notes[-1]
    # An embedding is the same, whatever bands there are.
    assert with_kind_notes(scenes, ("sam", "shape"), raw=True) == scenes


def test_kinds_that_clusters_do_not_know_are_refused() -> None:
    check_known("uint8: a", ("uint16: a", "uint8: a"))
    with pytest.raises(RunError, match="know scenes of uint16: a, and this is one of scaled: a; "):
        check_known("scaled: a", ("uint16: a",))


@pytest.fixture(scope="module")
def two_orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two places labelled together, with their bands in one order and in two."""
    folder = tmp_path_factory.mktemp("orders")
    dark, bright = crop(0, 0), crop(480, 320)
    dark_file = write(folder / "dark.tif", dark)
    for name, writer in (("one", write), ("two", turned)):
        (folder / name).mkdir()
        label(folder / f"out_{name}", dark_file, writer(folder / name / "bright.tif", bright))
    return folder


def test_the_order_of_bands_changes_no_result(two_orders: Path) -> None:
    one, two = two_orders / "out_one", two_orders / "out_two"
    for file in ("labels.tif", "segments.tif", "segments.gpkg", "preview.png"):
        for scene in ("dark", "bright"):
            assert (one / scene / file).read_bytes() == (two / scene / file).read_bytes()
    assert (one / "clusters.npz").read_bytes() == (two / "clusters.npz").read_bytes()
    records = [json.loads((out / "run.json").read_text())["scenes"] for out in (one, two)]
    assert records[0][1]["bands"] == list(NAMES)
    assert records[1][1]["bands"] == [NAMES[i] for i in TURNED]
    assert records[1][1]["notes"] == records[0][1]["notes"] == []


def test_a_model_labels_scenes_with_their_bands_in_any_order(two_orders: Path) -> None:
    out = two_orders / "applied"
    arguments = ("--clusters-from", two_orders / "out_one" / "clusters.npz", "--out", out)
    outcome = alps_geo("apply", two_orders / "two" / "bright.tif", *arguments)
    assert outcome.exit_code == 0, outcome.stderr
    expected = labels(two_orders / "out_one" / "bright")
    np.testing.assert_array_equal(labels(out / "bright"), expected)


def test_the_same_reflectance_gets_the_same_clusters(tmp_path: Path) -> None:
    """Stored as Sentinel-2 was before its processing baseline 04.00, and as it is since."""
    pixels = crop(0, 0)
    before = write(tmp_path / "before.tif", pixels, tag=(1e-4, 0.0))
    after = write(tmp_path / "after.tif", pixels + np.uint16(1000), tag=(1e-4, -0.1))
    plain = write(tmp_path / "plain.tif", pixels)
    out = tmp_path / "out"
    record = label(out, before, after, plain)
    np.testing.assert_array_equal(labels(out / "before"), labels(out / "after"))
    assert len(np.unique(labels(out / "after"))) == 4
    notes = [" ".join(scene["notes"]) for scene in record["scenes"]]
    assert ["tags of the file are applied" in note for note in notes] == [True, True, False]
    assert ["standardised by itself" in note for note in notes] == [False, False, True]
    found = [
        gpd.read_file(out / name / "segments.gpkg", layer="segments")
        for name in ("before", "after", "plain")
    ]
    np.testing.assert_allclose(found[0]["mean_nir"], found[1]["mean_nir"], rtol=1e-6)
    np.testing.assert_allclose(found[0]["mean_nir"], found[2]["mean_nir"] * 1e-4, rtol=1e-6)
    model, elsewhere = out / "clusters.npz", tmp_path / "elsewhere"
    other = write(tmp_path / "other.tif", pixels.astype(np.float32))
    refused = alps_geo("apply", other, "--clusters-from", model, "--out", elsewhere)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
    assert "this is one of float32: blue, green, red, nir" in refused.stderr
    # Said before any tile is worked on.
    assert not elsewhere.exists()
