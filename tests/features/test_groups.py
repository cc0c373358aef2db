import numpy as np
import pytest
from numpy.typing import NDArray

from alps_geo.features.columns import Columns, ColumnSchema, group_of
from alps_geo.features.groups.shape import moment_images
from alps_geo.features.registry import group_names
from alps_geo.features.sums import BANDS, MASKS, WEIGHT, RegionSums, pixel_sums


def segments(
    band_means: NDArray[np.float64], masks: list[NDArray[np.bool_]] | None = None
) -> RegionSums:
    """Segments of given band means and, if need be, shapes."""
    count = len(band_means)
    masks = masks or [np.ones((4, 4), bool)] * count
    area = np.array([float(mask.sum()) for mask in masks])
    moments = [
        pixel_sums(mask.astype(int), 1, moment_images((len(mask), len(mask.T)), (100, 200)))
        for mask in masks
    ]
    each = area[:, None]
    named = {
        MASKS: np.ones((count, 3)),
        BANDS: band_means * each,
        "squares": band_means**2 * 1.01 * each,
        "moments": np.concatenate(moments),
        "texture": np.ones((count, 3)),
        "context": np.tile(band_means, 2) * 2 * each,
        WEIGHT: np.full((count, 1), 2.0),
        "sam": np.arange(count * 4.0).reshape(count, 4),
        "backbone": np.full((count, 5), 4.0),
    }
    return RegionSums(area, named)


def columns(found: RegionSums, bands: str, *features: str) -> Columns:
    return ColumnSchema(tuple(bands.split()), "uint8", features).columns(found)


def test_every_feature_yields_its_own_groups() -> None:
    found = columns(segments(np.array([[1.0, 2, 3, 4]])), "red green blue nir", *group_names())
    groups = list(dict.fromkeys(map(group_of, found.names)))
    assert groups == ["sam", "mean", "index", "spread", "texture", "context", "shape", "timm"]
    assert found.values.shape == (1, len(found.names))
    assert np.isfinite(found.values).all()
    chosen = found.select(["spread.nir", "context.red.16", "sam.3", "timm.4"])
    np.testing.assert_allclose(chosen, [[0.4, 2.0, 1.5, 2.0]])


def test_indices_are_there_where_their_bands_are() -> None:
    rows = np.array([[30.0, 20.0, 10.0, 90.0], [0.0, 0.0, 0.0, 0.0]])
    found = columns(segments(rows), "red green blue nir", "spectral")
    assert found.select(["index.ndvi", "index.ndwi"]).tolist() == pytest.approx(
        np.array([[60 / 120, -70 / 110], [0, 0]])
    )
    without = columns(segments(rows[:, :3]), "red green blue", "spectral")
    assert without.names == ("mean.red", "mean.green", "mean.blue")


def test_scenes_are_of_one_kind_if_bands_and_type_agree() -> None:
    found = segments(np.ones((1, 3)))
    kinds = {
        ColumnSchema(tuple(bands.split()), dtype, ("sam",)).columns(found).kind
        for bands, dtype in [("r g b", "uint8"), ("r g b", "uint16"), ("b g r", "uint8")]
    }
    assert len(kinds) == 3


def test_shapes_are_told_apart_wherever_they_lie() -> None:
    square = np.ones((12, 12), bool)
    stripe = np.ones((3, 48), bool)
    ring = np.ones((14, 14), bool)
    ring[2:12, 2:12] = False
    turned = np.tri(34, k=1, dtype=bool) & np.tri(34, k=1, dtype=bool).T
    shapes = [square, stripe, stripe.T, ring, turned]
    found = columns(segments(np.ones((5, 1)), shapes), "grey", "shape")
    size, elongation, ellipticity = found.values.T
    np.testing.assert_allclose(np.exp(size), [mask.sum() for mask in shapes])
    assert elongation[0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(elongation[1:3], np.log(16), rtol=1e-6)
    assert elongation[4] > 2
    # An ellipse has 1; a square is close to it, and a ring is mostly hole.
    assert ellipticity[0] == pytest.approx(3 / np.pi, rel=0.01)
    assert ellipticity[3] < 0.6


def test_ellipticity_is_1_for_ellipses_and_less_for_others() -> None:
    row, col = np.mgrid[-80:81, -80:81]
    discs = [row**2 + col**2 <= 75**2, (row / 20) ** 2 + (col / 75) ** 2 <= 1]
    # Solid, as what is convex is: area over convex hull is 1 for both.
    others = [np.ones((80, 80), bool), np.tri(81, dtype=bool)]
    found = columns(segments(np.ones((4, 1)), discs + others), "grey", "shape")
    assert found.names == ("shape.size", "shape.elongation", "shape.ellipticity")
    ellipticity = found.select(["shape.ellipticity"])[:, 0]
    np.testing.assert_allclose(ellipticity[:2], 1, atol=0.01)
    # Square and triangle: 3 / pi and 3 sqrt(3) / (2 pi).
    np.testing.assert_allclose(ellipticity[2:], [0.955, 0.827], atol=0.01)
