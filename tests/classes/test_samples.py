"""Votes of samples on segments, and the layers that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.features import rasterize

from alps_geo.classes.sample_layer import (
    LEAST_SHARE,
    MOST_SHARE,
    SampleLayer,
    place,
    read_layer,
)
from alps_geo.classes.samples import Votes, resolve

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.windows import Window

UTM = CRS.from_epsg(32618)
PLACED = Affine(2, 0, 400_000, 0, -2, 4_300_000)


@dataclass(frozen=True)
class Grid:
    """Segment ids in memory."""

    ids: NDArray[np.uint32]
    crs: CRS | None = UTM
    map_transform: Affine = PLACED
    path: str = "segments.tif"

    @property
    def height(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        return int(self.ids.shape[1])

    def read(self, window: Window) -> NDArray[np.uint32]:
        found: NDArray[np.uint32] = self.ids[window.toslices()]
        return found


# Segments of 40 x 50 pixels, without one in the last column.
IDS = np.kron(np.arange(1, 61).reshape(10, 6), np.ones((40, 50), int)).astype(np.uint32)
IDS[:, 250:] = 0
GRID = Grid(IDS)
AREA = np.full(60, 2000)


def votes(path: Path, shapes: list[shapely.Geometry], crs: int = 32618) -> dict[int, float]:
    """Place shapes that are drawn in (col, row)."""
    placed = gpd.GeoSeries(shapes).affine_transform([2, 0, 0, -2, 400_000, 4_300_000])
    frame = gpd.GeoDataFrame({"class": ["a"] * len(shapes)}, geometry=placed, crs=32618)
    frame.to_crs(crs).to_file(path)
    found = place(read_layer(str(path)), GRID, AREA).votes
    return dict(zip(found.segment.tolist(), found.weight.tolist(), strict=True))


def test_a_point_is_a_sample_of_its_segment(tmp_path: Path) -> None:
    assert votes(tmp_path / "p.gpkg", [shapely.Point(120.5, 45.5)], 4326) == {9: 1}


def test_a_line_is_one_of_all_that_it_crosses(tmp_path: Path) -> None:
    line = shapely.LineString([(10.5, 20.5), (120.5, 20.5)])
    assert votes(tmp_path / "l.gpkg", [line]) == {1: 40, 2: 50, 3: 21}


def test_an_area_leaves_out_slivers_of_neighbours(tmp_path: Path) -> None:
    # All of segment 8, 3 of 50 columns of segment 7 and 10 of segment 9.
    area = shapely.box(47, 40, 110, 80)
    assert votes(tmp_path / "a.gpkg", [area]) == {8: 2000, 9: 400}
    small = shapely.box(60, 50, 65, 54)
    assert votes(tmp_path / "s.gpkg", [small]) == {8: 20}


def test_an_area_between_the_centres_of_pixels_is_a_point(tmp_path: Path) -> None:
    assert votes(tmp_path / "t.gpkg", [shapely.box(60.6, 50.6, 60.9, 50.9)]) == {8: 1}


def test_samples_without_a_segment_are_known(tmp_path: Path) -> None:
    points = [shapely.Point(280.5, 5.5), shapely.Point(900, 5), shapely.Point(5.5, 5.5)]
    placed = gpd.GeoSeries(points).affine_transform([2, 0, 0, -2, 400_000, 4_300_000])
    frame = gpd.GeoDataFrame({"class": [1, 2, 3]}, geometry=placed, crs=32618)
    frame.to_file(tmp_path / "p.gpkg")
    found = place(read_layer(str(tmp_path / "p.gpkg")), GRID, AREA)
    assert found.inside.tolist() == [True, False, True]
    assert found.on_segments.tolist() == [False, False, True]
    assert found.votes.name.tolist() == ["3"]


coordinate = st.floats(-30, 330, allow_subnormal=False)


@given(st.tuples(coordinate, coordinate), st.floats(3, 200), st.floats(3, 200))
def test_an_area_votes_as_all_its_pixels_drawn_at_once(
    corner: tuple[float, float], width: float, height: float
) -> None:
    """Windows and thresholds give what the whole raster gives."""
    shape = shapely.box(*corner, corner[0] + width, corner[1] + height)
    drawn = rasterize([shape], IDS.shape) > 0
    counts = np.bincount(IDS[drawn], minlength=61).astype(float)
    total = drawn.sum()
    kept = (counts >= LEAST_SHARE * 2000) | (counts >= MOST_SHARE * total) & (counts > 0)
    expected = {int(i): counts[i] for i in np.flatnonzero(kept) if i}
    if not total:
        return
    placed = gpd.GeoSeries([shape], crs=None)
    layer = read_layer_of(placed)
    grid = Grid(IDS, None, Affine.identity())
    found = place(layer, grid, AREA).votes
    assert dict(zip(found.segment.tolist(), found.weight.tolist(), strict=True)) == expected


def read_layer_of(shapes: gpd.GeoSeries) -> SampleLayer:
    return SampleLayer("shapes", None, np.array(["a"], object), shapes, shapes[:0])


def test_most_pixels_decide_and_ties_are_left_out() -> None:
    rows = [(4, "road", 3.0), (4, "roof", 2.0), (4, "roof", 2.0), (6, "a", 1.0), (6, "b", 1.0)]
    found = resolve(Votes.of([*rows, (2, "a", 1.0)]))
    assert found.segment.tolist() == [2, 4]
    assert found.name.tolist() == ["a", "roof"]
    first, second = found.disputes
    assert (first.segment, first.taken, dict(first.weights)) == (4, "roof", {"roof": 4, "road": 3})
    assert (second.segment, second.taken) == (6, None)
    assert str(first) == "segment 4 (roof 4, road 3): taken for roof"


def test_texts_are_stripped_and_whole_numbers_have_no_point(tmp_path: Path) -> None:
    shapes = [shapely.Point(400_001, 4_299_999)] * 3
    frame = gpd.GeoDataFrame({"class": [" road", "road ", ""]}, geometry=shapes, crs=32618)
    frame.to_file(tmp_path / "t.gpkg")
    found = read_layer(str(tmp_path / "t.gpkg"))
    assert found.names.tolist() == ["road", "road"]
    assert len(found.unlabelled) == 1
    frame["class"] = [1.0, 2.0, np.nan]
    frame.to_file(tmp_path / "n.gpkg")
    assert read_layer(str(tmp_path / "n.gpkg")).names.tolist() == ["1", "2"]


@pytest.mark.parametrize("name", ["samples.csv", "samples.gpkg", "samples.geojson"])
def test_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text('WKT,class\n"POINT (-76.0 38.8)",road\n')
    else:
        point = [shapely.Point(-76.0, 38.8)]
        gpd.GeoDataFrame({"class": ["road"]}, geometry=point, crs=4326).to_file(path)
    assert read_layer(str(path)).names.tolist() == ["road"]
