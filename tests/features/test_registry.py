"""A feature group of one's own runs through label and fit like those that are there."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from helpers import DATA
from numpy.typing import NDArray
from quarter_tiles import QuarterTiles
from rasterio.windows import Window

from alps_geo.errors import RunError, SettingsError
from alps_geo.features.columns import ColumnSchema
from alps_geo.features.group import FeatureGroup, Part, PixelSum
from alps_geo.features.images import CorePixels
from alps_geo.features.registry import (
    find_group,
    find_part,
    group_names,
    register,
    split_feature,
    unregister,
)
from alps_geo.features.sums import RegionSums
from alps_geo.pipeline.scenes import fit_scenes, label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.run import read_model
from alps_geo.segments.table import open_table
from alps_geo.settings import LabelSettings


def images(pixels: CorePixels) -> NDArray[np.float64]:
    return np.asarray(pixels.core_bands[:1] ** 2)


def columns(segments: RegionSums, _: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    return {"squared.first": segments.mean("squared")[:, 0]}


SQUARED = FeatureGroup(
    "squared",
    columns,
    (Part("squared", weight=0.5),),
    sums=(PixelSum("squared", images, width=lambda _: 1, reach=3),),
    in_band_units=True,
)


@pytest.fixture
def squared() -> Iterator[None]:
    register(SQUARED)
    yield
    unregister("squared")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A crop of several tiles."""
    path = tmp_path / "scene.tif"
    with rasterio.open(DATA / "naip_md_1m.tif") as source:
        window = Window(40, 30, 150, 100)
        pixels, crs, transform = source.read(window=window), source.crs, source.transform
    profile = {"count": len(pixels), "height": 100, "width": 150, "dtype": pixels.dtype}
    with rasterio.open(path, "w", "GTiff", crs=crs, transform=transform, **profile) as target:
        target.write(pixels)
    return path


@pytest.mark.usefixtures("squared")
def test_a_group_of_one_s_own_is_labelled_and_fitted(scene: Path, tmp_path: Path) -> None:
    # Of each segment alone, as the raster shows it.
    settings = LabelSettings(
        features="squared+spectral", clusters=3, tile_size=96, merge=False, neighbours=0.0
    )
    masks = QuarterTiles()
    assert settings.feature_names == ("spectral", "squared")
    out, fitted = tmp_path / "out", tmp_path / "fitted.npz"
    label_scenes([str(scene)], out, settings, generator=masks)
    table = open_table(out / ".tiles" / "scene.segments")
    assert table.names[-1] == "squared.first"
    with rasterio.open(out / "scene" / "segments.tif") as raster:
        ids = raster.read(1)
    with rasterio.open(scene) as raster:
        squares = raster.read(1).astype(float) ** 2
    found = table.read(0, len(table)).select(["squared.first"])[:, 0]
    expected = [squares[ids == segment].mean() for segment in table.rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # The last of the projected columns is the group's, at its weight.
    model = read_model(out / "clusters.npz")
    projected = model.projection.project(table.read(0, len(table)))
    assert projected[:, -1].std() == pytest.approx(0.5, rel=1e-5)
    fit_scenes([str(scene)], fitted, out, settings, RunFlags(overwrite=True), generator=masks)
    assert read_model(fitted).to_bytes() == model.to_bytes()


@pytest.mark.usefixtures("squared")
def test_an_empty_scene_has_the_columns_of_all_groups() -> None:
    features = tuple(name for name in group_names() if name != "timm")
    schema = ColumnSchema(("red", "nir"), "uint8", features, {"sam": 256})
    found = schema.columns(schema.no_segments())
    assert found.values.shape == (0, len(found.names))
    assert len([name for name in found.names if name.startswith("sam.")]) == 256
    assert found.names[-1] == "squared.first"
    assert {name.split(".")[0] for name in found.names} == {
        part.prefix for name in features for part in find_group(name).parts
    }


def test_a_group_that_is_not_registered_is_unknown() -> None:
    assert "squared" not in group_names()
    with pytest.raises(SettingsError, match="features is 'squared', expected one of sam, "):
        LabelSettings(features="squared")
    with pytest.raises(SettingsError, match="feature group 'squared' is unknown, expected one"):
        find_group("squared")
    with pytest.raises(RunError, match=r"no feature group has columns squared\.\*"):
        find_part("squared")


@pytest.mark.usefixtures("squared")
def test_names_and_columns_belong_to_one_group() -> None:
    with pytest.raises(SettingsError, match="there is a feature group 'squared'"):
        register(SQUARED)
    with pytest.raises(SettingsError, match=r"there are columns mean\.\*"):
        register(FeatureGroup("other", columns, (Part("mean", weight=1.0),)))


def test_groups_know_themselves_by_the_names_of_their_modules() -> None:
    names = group_names()
    assert names == ("sam", "spectral", "spread", "texture", "context", "shape", "timm")
    assert [find_group(name).name for name in names] == list(names)
    prefixes = [part.prefix for name in names for part in find_group(name).parts]
    assert len(set(prefixes)) == len(prefixes)
    assert [split_feature(name)[0] for name in ("timm:vit_s16:x", "sam")] == ["timm", "sam"]


def test_names_are_known_without_numpy() -> None:
    code = (
        "import sys; from alps_geo.settings import LabelSettings; LabelSettings(); "
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_that_is_added_is_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later groups follow those whose columns fitted models have."""
    from alps_geo.features import registry

    found = [type("Module", (), {"name": name}) for name in ("area", "texture", "sam")]
    monkeypatch.setattr("pkgutil.iter_modules", lambda _: iter(found))
    registry._module_names.cache_clear()
    try:
        assert group_names() == ("sam", "texture", "area")
    finally:
        registry._module_names.cache_clear()
