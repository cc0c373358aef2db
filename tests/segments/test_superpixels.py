import numpy as np
import pytest
from helpers import DATA
from rasterio.windows import Window

from alps_geo.features.images import BandScale, band_scale
from alps_geo.scene import open_scene, read_overview, read_tile
from alps_geo.segments.superpixels import cut_superpixels

SCENES = ("naip_md_1m", "landsat8_collar_uint16", "landsat5_int16_1band", "neon_osbs_10cm")
SIZE = 16
SIZES = (4, 7, 16, 33, 64)


def cut(name: str, window: Window, size: int = SIZE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Superpixels of a window of a real scene, its valid pixels, and its standardised bands."""
    scene = open_scene(str(DATA / f"{name}.tif"))
    scale = band_scale(read_overview(scene, 512))
    pixels = read_tile(scene, window)
    standard = scale.standardise(pixels.bands, pixels.valid)
    labels = cut_superpixels(standard, pixels.valid, (window.row_off, window.col_off), size)
    return labels, pixels.valid, standard


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", SIZES[:-1])
def test_every_valid_pixel_has_a_superpixel_of_about_the_size_asked(name: str, size: int) -> None:
    labels, valid, _ = cut(name, Window(60, 30, 320, 300), size)
    np.testing.assert_array_equal(labels > 0, valid)
    areas = np.bincount(labels[valid])
    areas = areas[areas > 0]
    assert size**2 / 2 < areas.mean() < 2 * size**2


@pytest.mark.parametrize("name", SCENES)
def test_superpixels_are_more_even_than_squares(name: str) -> None:
    labels, valid, standard = cut(name, Window(0, 0, 320, 320))
    squares = np.add.outer(np.arange(320) // SIZE * 100, np.arange(320) // SIZE) + 1
    within = []
    for cells in (labels[valid], squares[valid]):
        _, place, counts = np.unique(cells, return_inverse=True, return_counts=True)
        within.append(
            sum(
                (band**2).sum() - (np.bincount(place, band) ** 2 / counts).sum()
                for band in standard[:, valid].astype(float)
            )
        )
    assert within[0] < 0.9 * within[1]


@pytest.mark.parametrize("size", [5, 8, 16])
def test_tiles_that_overlap_cut_alike_what_they_share(size: int) -> None:
    first, _, _ = cut("naip_md_1m", Window(0, 0, 300, 300), size)
    second, _, _ = cut("naip_md_1m", Window(171, 0, 300, 300), size)
    # Away from the edges of both windows.
    shared = first[:, 171 + 48 : 300 - 48], second[:, 48 : 129 - 48]
    pairs = np.stack([part.ravel() for part in shared])
    _, counts = np.unique(pairs, axis=1, return_counts=True)
    inside = np.unique(shared[0], return_counts=True)[1]
    # Were they cut apart, each would fall to several of the other tile's.
    assert counts.max() == inside.max()
    assert len(counts) < 1.3 * len(inside)


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (5, 3), (17, 40)])
@pytest.mark.parametrize("bands", [1, 12])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("origin", [(0, 0), (33, 7), (1000, 126)])
def test_tiny_tiles_work(
    shape: tuple[int, int], bands: int, size: int, origin: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    standard = rng.normal(size=(bands, *shape)).clip(-4, 4).astype(np.float32)
    labels = cut_superpixels(standard, np.ones(shape, bool), origin, size)
    assert (labels > 0).all()
    assert labels.shape == shape


def test_a_constant_tile_works() -> None:
    valid = np.ones((40, 40), bool)
    labels = cut_superpixels(np.zeros((2, 40, 40), np.float32), valid, (0, 0), SIZE)
    assert (labels > 0).all()


def test_the_scale_does_not_depend_on_units_nor_on_a_few_wild_values() -> None:
    scene = open_scene(str(DATA / "sentinel2_uint16_4band.tif"))
    pixels = read_tile(scene, Window(0, 0, 200, 200))
    plain = band_scale(pixels).standardise(pixels.bands, pixels.valid)
    wild = pixels.bands * np.float32(0.001) - 5
    wild[:, 17, 23] = 3e30
    other = type(pixels)(pixels.image, wild, pixels.valid)
    found = band_scale(other).standardise(wild, pixels.valid)
    found[:, 17, 23] = plain[:, 17, 23]
    np.testing.assert_allclose(found, plain, atol=0.02)


def test_a_constant_band_is_zero() -> None:
    valid = np.ones((4, 4), bool)
    bands = np.full((1, 4, 4), 7.7, np.float32)
    scale = BandScale(np.array([bands.mean(dtype=np.float64)]), np.array([1.0]))
    np.testing.assert_allclose(scale.standardise(bands, valid), 0, atol=1e-6)
