"""Scale bars and arrows of previews agree with the ground, measured here by other means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from pyproj import Geod, Transformer

from alps_geo.clusters.legend import Legend
from alps_geo.outputs.drawing import Area
from alps_geo.outputs.ground_view import GroundView, ScaleStyle, scale_bar, scale_marks
from alps_geo.outputs.letters import lettering
from alps_geo.outputs.preview import write_preview
from alps_geo.outputs.preview_sheet import MapPicture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


INK = (38, 42, 48)
UTM, LAMBERT, MERCATOR, POLAR, DEGREES = (
    *("EPSG:32632", "EPSG:28992", "EPSG:3857"),
    *("EPSG:3413", "EPSG:4326"),
)
TURNED = Affine.rotation(-30)


def ground(
    crs: str, transform: Affine, first: tuple[float, float], last: tuple[float, float]
) -> tuple[float, float]:
    """Azimuth and length of a line of the picture on the ground."""
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    (lon, lat), (lon2, lat2) = (to_degrees.transform(*(transform @ at)) for at in (first, last))
    azimuth, _, length = Geod(ellps="WGS84").inv(lon, lat, lon2, lat2)
    return azimuth, length


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000)),
        (UTM, Affine.translation(400_000, 6_000_000) @ TURNED @ Affine.scale(2, -2)),
        (MERCATOR, Affine(5, 0, 1_000_000, 0, -5, 8_000_000)),
        (LAMBERT, Affine(0.25, 0, 127_375, 0, -0.25, 428_250)),
        (DEGREES, Affine(1e-4, 0, 25, 0, -1e-4, 68)),
        (POLAR, Affine(100, 0, 1_000_000, 0, -100, 1_000_000)),
    ],
)
def test_scale_and_north_are_those_of_the_ground(crs: str, transform: Affine) -> None:
    view = GroundView.of(crs, transform, (400, 600))
    bar = scale_bar(view, 200)
    assert bar is not None
    pixels, words = bar
    assert 80 <= pixels <= 200
    number, unit = words.split()
    metres = float(number.replace(",", "")) * {"m": 1, "km": 1000}[unit]
    half = pixels / 2
    _, length = ground(crs, transform, (300 - half, 200), (300 + half, 200))
    assert abs(length - metres) / view.across < 1, "within a pixel"
    assert view.north is not None
    # A few pixels along the arrow lead to the north.
    angle = math.radians(view.north)
    step = 5 * math.sin(angle) / view.across, -5 * math.cos(angle) / view.down
    ahead = 300 + step[0] * min(view.across, view.down), 200 + step[1] * min(view.across, view.down)
    azimuth, _ = ground(crs, transform, (300, 200), ahead)
    assert abs((azimuth + 180) % 360 - 180) < 0.3


@pytest.mark.parametrize(
    ("crs", "transform", "needed"),
    [
        (UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000), False),
        (UTM, Affine.translation(500_000, 5e6) @ TURNED @ Affine.scale(10, -10), True),
        (DEGREES, Affine(1e-4, 0, 25, 0, -1e-4, 48), True),
        (POLAR, Affine(100, 0, 1_000_000, 0, -100, 1_000_000), True),
        (None, Affine.identity(), False),
    ],
)
def test_an_arrow_is_there_where_north_is_not_plainly_up(
    crs: str | None, transform: Affine, needed: bool
) -> None:
    view = GroundView.of(crs, transform, (400, 600))
    assert view.needs_arrow == needed
    marks = list(scale_marks(view, (0, 0), 200, ScaleStyle(lettering(20), 22, INK)))
    areas = [mark for mark in marks if isinstance(mark, Area)]
    assert len(areas) == needed
    if needed:
        tip, _, notch, _ = areas[0].corners
        drawn = math.degrees(math.atan2(tip[0] - notch[0], notch[1] - tip[1]))
        assert view.north is not None
        assert abs((drawn - view.north + 180) % 360 - 180) < 1e-6


def test_an_arrow_of_a_grid_that_is_turned_is_turned() -> None:
    """Rows of this grid fall to the right by 30 degrees, and its zone's meridian is its centre."""
    transform = Affine.translation(500_000, 5_000_000) @ TURNED @ Affine.scale(10, -10)
    view = GroundView.of(UTM, transform, (4, 4))
    assert view.north == pytest.approx(-30, abs=0.1)


@pytest.mark.parametrize(
    ("across", "longest", "expected"),
    [
        (0.1, 140, (100, "10 m")),
        (30, 336, (333, "10 km")),
        (0.0007, 336, (286, "20 cm")),
        (0.00002, 100, (100, "2 mm")),
        (25_000.0, 100, (80, "2,000 km")),
        (math.nan, 100, None),
    ],
)
def test_bars_have_round_lengths(
    across: float, longest: float, expected: tuple[int, str] | None
) -> None:
    view = GroundView(across, across, "m", 0.0, needs_arrow=False, crs="")
    assert scale_bar(view, longest) == expected


def test_a_crs_of_no_place_on_earth_has_lengths_and_no_north() -> None:
    local = 'LOCAL_CS["site grid",UNIT["foot",0.3048]]'
    view = GroundView.of(local, Affine(2, 0, 0, 0, -2, 0), (10, 10))
    assert view.across == pytest.approx(0.6096)
    assert (view.unit, view.north, view.needs_arrow) == ("m", None, False)


def test_a_projection_that_shows_nothing_there_has_its_own_lengths() -> None:
    view = GroundView.of(UTM, Affine(10, 0, 1e13, 0, -10, 1e13), (10, 10))
    assert not view.needs_arrow
    assert scale_bar(view, 100) is not None


def drawn(path: Path, transform: Affine, crs: str | None) -> NDArray[np.uint8]:
    shape = (400, 400)
    picture = MapPicture(
        np.full((*shape, 3), 200, np.uint8),
        np.ones(shape, int),
        np.ones(shape, bool),
        crs=crs,
        transform=transform,
    )
    write_preview([path], picture, Legend({1: (220, 20, 30)}, {}))
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


@pytest.mark.parametrize(("crs", "pixel"), [(UTM, 0.5), (UTM, 25.0), (None, 2.0)])
def test_the_bar_of_a_picture_has_the_length_that_it_says(
    crs: str | None, pixel: float, tmp_path: Path
) -> None:
    """Its pixels are counted: the longest line of ink below the first panel."""
    picture = drawn(tmp_path / "1.png", Affine(pixel, 0, 500_000, 0, -pixel, 5e6), crs)
    below = np.flatnonzero(np.all(picture == 200, axis=-1).any(axis=1))[-1] + 3
    inked = np.all(picture[below : below + 60, :400] == INK, axis=-1)
    runs = ["".join("#" if each else " " for each in row).split() for row in inked]
    longest = max(len(run) for row in runs for run in row)
    lengths = {0.5: 50.0, 25.0: 2000.0, 2.0: 200.0}
    assert abs(longest - lengths[pixel] / pixel) <= 1


def test_pixels_that_are_not_square_on_the_ground_are_drawn_as_they_lie(tmp_path: Path) -> None:
    """At 60 degrees north a degree of longitude is half as long as one of latitude."""
    picture = drawn(tmp_path / "1.png", Affine(1e-4, 0, 25, 0, -1e-4, 60.02), "EPSG:4326")
    grey = np.all(picture == 200, axis=-1)
    height, width = grey.sum(axis=0).max(), grey.sum(axis=1).max()
    assert height / width == pytest.approx(2, abs=0.03)
