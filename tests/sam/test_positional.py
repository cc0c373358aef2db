from dataclasses import replace

import numpy as np
import pytest
from helpers import DATA
from rasterio.windows import Window

from alps_geo.sam.model import SamModel, load_model
from alps_geo.sam.positional import positional_directions, without_directions
from alps_geo.scene import fill_invalid, open_scene, read_tile


@pytest.fixture(scope="module")
def model() -> SamModel:
    return load_model(device="cpu")


def test_the_position_in_the_tile_is_taken_out_and_the_picture_stays(model: SamModel) -> None:
    directions = positional_directions(model)
    np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-9)
    assert 1 <= len(directions) < 20

    def variance(image: np.ndarray) -> tuple[float, float]:
        before = model.encode(image)[0].numpy()
        after = without_directions(before, directions)
        np.testing.assert_allclose(np.einsum("kc,chw->khw", directions, after), 0, atol=1e-5)
        return tuple(float(e.var(axis=(1, 2)).sum()) for e in (before, after))  # type: ignore[return-value]

    # Another colour than the one that the directions were found with.
    empty = np.empty((1024, 1024, 3), np.uint8)
    empty[:] = (40, 90, 160)
    before, after = variance(empty)
    assert after < 0.15 * before
    scene = open_scene(str(DATA / "naip_md_1m.tif"))
    before, after = variance(read_tile(scene, Window(0, 0, 1024, 1024)).image)
    assert after > 0.6 * before


def test_a_lake_looks_alike_next_to_a_collar_and_far_from_it(model: SamModel) -> None:
    """The encoder tells the part of a lake that shares an attention window with black pixels."""
    scene = open_scene(str(DATA / "landsat8_collar_uint16.tif"))
    pixels = read_tile(scene, Window(0, 0, 896, 896))
    assert (pixels.image[~pixels.valid] == 0).all()
    filled = fill_invalid(pixels.image, pixels.valid)
    directions = positional_directions(model)

    def variance(image: np.ndarray) -> float:
        embedding = without_directions(model.encode(image)[0].numpy(), directions)
        lake = embedding[:, 34:50, 48:50]  # water, the collar some cells above it
        return float(lake.var(axis=(1, 2)).sum())

    assert variance(filled) < 0.6 * variance(pixels.image)


def test_a_further_run_finds_them_without_encoding(
    model: SamModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    directions = positional_directions(model)
    again = load_model(device="cpu")
    monkeypatch.setattr(SamModel, "encode", lambda *_: pytest.fail("encoded"))
    assert positional_directions(again) is directions
    for other in (replace(again, sha256="c0de"), replace(again, dtype="bf16")):
        with pytest.raises(pytest.fail.Exception, match="encoded"):
            positional_directions(other)
