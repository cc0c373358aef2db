"""Points of samples on scenes of several CRS, or of none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from affine import Affine

from alps_geo.classes.accuracy import Strata
from alps_geo.classes.sampling import count_pixels, draw_pixels
from alps_geo.errors import RunError
from alps_geo.outputs.gpkg.points import write_points_gpkg
from alps_geo.review.map_classes import RunMap
from alps_geo.review.sample_points import LAYER, REFERENCE, read_reference, sample_frame

if TYPE_CHECKING:
    from pathlib import Path

PLACES = {
    "EPSG:32618": Affine(2, 0.3, 500_000, 0.3, -2, 4_300_000),
    "EPSG:32619": Affine(10, 0, 400_000, 0, -10, 4_300_000),
    "EPSG:4326": Affine(1e-4, 0, 12, 0, -1e-4, 48),
    None: Affine.identity(),
    # A rotated pole, which no WKT 1 names.
    "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +o_lon_p=0 +lon_0=10": Affine(
        0.001, 0, 1, 0, -0.001, 2
    ),
}


def made_map(folder: Path, systems: list[str | None]) -> RunMap:
    """Write rasters of two clusters, in several blocks, with pixels of none."""
    paths = []
    for number, crs in enumerate(systems):
        paths.append(folder / f"{number}.tif")
        ids = np.random.default_rng(number).integers(0, 3, (50, 70), np.uint8)
        profile = {"driver": "GTiff", "height": 50, "width": 70, "count": 1, "dtype": "uint8"}
        tiled = {"tiled": True, "blockxsize": 32, "blockysize": 16}
        placed = {} if crs is None else {"crs": crs, "transform": PLACES[crs]}
        with rasterio.open(paths[-1], "w", **profile, **tiled, **placed) as raster:
            raster.write(ids, 1)
    scenes = tuple(path.stem for path in paths)
    return RunMap(scenes, tuple(paths), ("1", "2"), np.array([-1, 0, 1, -1]), "px")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "systems",
    [
        ["EPSG:32618"],
        ["EPSG:32618", "EPSG:32619", "EPSG:4326"],
        [None, None],
        [list(PLACES)[-1]],
    ],
    ids=["one", "several", "none", "rotated pole"],
)
def test_points_are_found_again_in_their_pixels(tmp_path: Path, systems: list[str | None]) -> None:
    found = made_map(tmp_path, systems)
    pixels = count_pixels(found.blocks, len(systems), 2).sum(axis=0)
    strata = Strata(found.names, pixels, pixels * 1.0)
    drawn = draw_pixels(found.blocks, pixels, np.array([40, 20]), seed=0)
    frame = sample_frame(found, strata, drawn).assign(**{REFERENCE: "x"})
    write_points_gpkg(tmp_path / "sample.gpkg", frame, LAYER, REFERENCE, ["x"])
    points = read_reference(str(tmp_path / "sample.gpkg"), LAYER, REFERENCE, found)
    for name in ("scene", "row", "col", "stratum"):
        np.testing.assert_array_equal(getattr(points, name), getattr(drawn, name))
    assert points.classes == ("x",) * 60
    assert points.strata is not None
    assert points.strata.pixels.tolist() == pixels.tolist()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_scenes_with_and_without_a_crs_go_into_no_one_layer(tmp_path: Path) -> None:
    found = made_map(tmp_path, ["EPSG:4326", None])
    pixels = count_pixels(found.blocks, 2, 2).sum(axis=0)
    drawn = draw_pixels(found.blocks, pixels, np.array([4, 4]), seed=0)
    with pytest.raises(RunError, match="some scenes have a CRS and others none"):
        sample_frame(found, Strata(found.names, pixels, pixels * 1.0), drawn)
