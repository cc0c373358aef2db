"""The picture shows the scene on the left, its labels on the right, and every colour's meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from helpers import DATA
from numpy.typing import NDArray
from PIL import Image

from alps_geo.clusters.legend import Legend
from alps_geo.errors import RunError
from alps_geo.outputs.preview import write_preview

if TYPE_CHECKING:
    from pathlib import Path

RED, GREEN, BLUE = (220, 20, 30), (20, 200, 40), (30, 60, 230)
PALETTE = {1: RED, 2: GREEN, 3: BLUE}
WHITE = (255, 255, 255)

Picture = NDArray[np.uint8]


def drawn(
    path: Path, image: Picture, labels: NDArray[Any], valid: Any = None, **more: Any
) -> Picture:
    everywhere = np.ones(labels.shape, bool)
    legend = Legend(more.pop("palette", PALETTE), more.pop("names", {}))
    write_preview(path, image, labels, everywhere if valid is None else valid, legend, **more)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def count(picture: Picture, color: tuple[int, int, int]) -> int:
    return int(np.all(picture == np.array(color, np.uint8), axis=-1).sum())


def grey(rows: int, cols: int, level: int = 90) -> Picture:
    return np.full((rows, cols, 3), level, np.uint8)


def real_scene() -> tuple[Picture, NDArray[np.int64]]:
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as scene:
        image = scene.read([1, 2, 3]).transpose(1, 2, 0)
    return image, np.digitize(image[..., 1], [80, 130])


def test_scene_on_the_left_labels_on_the_right(tmp_path: Path) -> None:
    labels = np.ones((500, 500), int)
    labels[:, 250:] = 2
    picture = drawn(tmp_path / "preview.png", grey(500, 500), labels)
    half = picture.shape[1] // 2
    left, right = picture[:, :half], picture[:, half:]
    assert count(left, (90, 90, 90)) == 500 * 500
    assert count(right, (90, 90, 90)) == 0
    assert count(right, RED) >= 500 * 250
    assert count(right, GREEN) >= 500 * 250
    middle = right[picture.shape[0] // 2]
    reds = np.flatnonzero(np.all(middle == RED, axis=-1))
    greens = np.flatnonzero(np.all(middle == GREEN, axis=-1))
    assert reds.max() < greens.min()


def test_unlabelled_pixels_show_a_faint_scene(tmp_path: Path) -> None:
    image = grey(500, 500, 0)
    image[:250] = 255
    picture = drawn(tmp_path / "preview.png", image, np.zeros((500, 500), int))
    right = picture[:, picture.shape[1] // 2 :]
    assert count(right, (200, 200, 200)) == 500 * 250
    assert count(right, (245, 245, 245)) == 500 * 250


def test_pixels_without_data_are_white_on_both_sides(tmp_path: Path) -> None:
    valid = np.ones((500, 500), bool)
    valid[100:200] = False
    picture = drawn(tmp_path / "preview.png", grey(500, 500), np.ones((500, 500), int), valid)
    assert count(picture, (90, 90, 90)) == 500 * 400
    assert count(picture[:, picture.shape[1] // 2 :], RED) == 500 * 400


def test_averaging_a_large_scene_leaves_out_what_has_no_data(tmp_path: Path) -> None:
    image, valid = grey(1920, 1920), np.ones((1920, 1920), bool)
    valid[1::2] = False
    image[1::2] = 200
    picture = drawn(tmp_path / "preview.png", image, np.ones((1920, 1920), int), valid)
    assert picture.shape[1] < 2100
    assert count(picture, (90, 90, 90)) == 960 * 960


@pytest.mark.parametrize("clusters", [1, 2, 24, 64, 250])
def test_the_legend_holds_every_cluster(clusters: int, tmp_path: Path) -> None:
    palette = {cluster: (cluster, 255 - cluster, 77) for cluster in range(1, clusters + 1)}
    labels = np.zeros((400, 400), int)
    picture = drawn(tmp_path / "preview.png", grey(400, 400), labels, palette=palette)
    counts = np.bincount((picture @ np.array([65536, 256, 1])).ravel(), minlength=2**24)
    patches = {int(counts[red << 16 | green << 8 | blue]) for red, green, blue in palette.values()}
    assert len(patches) == 1, "every patch is whole"
    assert patches.pop() > 200


def test_names_and_title_are_drawn(tmp_path: Path) -> None:
    labels = np.ones((400, 400), int)
    plain = drawn(tmp_path / "1.png", grey(400, 400), labels)
    named = drawn(tmp_path / "2.png", grey(400, 400), labels, names={1: "water"})
    titled = drawn(tmp_path / "3.png", grey(400, 400), labels, title="naip_md_1m")
    assert named.shape == plain.shape
    assert (named != plain).any()
    assert titled.shape[0] > plain.shape[0]
    assert np.array_equal(titled[-plain.shape[0] + 32 :], plain[32:])


def test_names_are_legible_in_many_alphabets(tmp_path: Path) -> None:
    labels = np.ones((400, 400), int)
    pictures = {
        drawn(tmp_path / "1.png", grey(400, 400), labels, names={1: f"n{letter}"}).tobytes()
        for letter in "aäößéłжω林水غقकख\u0378"
    }
    assert len(pictures) == 15, "each letter is another sign, and none the box for what is unknown"


def test_the_number_of_a_cluster_stands_apart_from_its_share(tmp_path: Path) -> None:
    """Share and number of cluster 1 read as one once: 9.6 % 1."""
    picture = drawn(tmp_path / "1.png", grey(480, 480), np.ones((480, 480), int))
    patch = np.argwhere(np.all(picture == RED, axis=-1) & (np.indices(picture.shape[:2])[0] > 580))
    top, left = patch.min(axis=0)
    line = picture[top : top + 16, left + 20 : left + 200].min(axis=(0, 2))
    inked = np.flatnonzero(line < 200)
    number, *rest = np.split(inked, np.flatnonzero(np.diff(inked) > 12) + 1)
    assert number.size < 10
    assert len(rest) == 1, "number and share, well apart"


def test_a_name_without_end_stays_inside(tmp_path: Path) -> None:
    labels = np.ones((400, 400), int)
    picture = drawn(tmp_path / "1.png", grey(400, 400), labels, names={1: "water " * 200})
    margin = picture[:, -30:]
    assert count(margin, WHITE) == margin.shape[0] * margin.shape[1]


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 700), (700, 1), (5, 7), (60, 1200), (1200, 60), (3000, 2)]
)
def test_any_shape_of_scene_is_seen(shape: tuple[int, int], tmp_path: Path) -> None:
    labels = np.ones(shape, int)
    picture = drawn(tmp_path / "preview.png", grey(*shape), labels)
    scene, red = count(picture, (90, 90, 90)), count(picture, RED)
    assert scene >= 56 * 56
    assert red > scene
    assert max(picture.shape) < 2200


def test_small_scenes_grow_by_whole_pixels(tmp_path: Path) -> None:
    labels = np.array([[1, 2], [2, 1]])
    picture = drawn(tmp_path / "preview.png", grey(2, 2), labels)
    patch = count(drawn(tmp_path / "empty.png", grey(2, 2), np.full((2, 2), 3)), RED)
    assert count(picture, RED) - patch == count(picture, GREEN) - patch == 2 * 240**2


def test_a_real_scene_keeps_its_pixels(tmp_path: Path) -> None:
    image, labels = real_scene()
    picture = drawn(tmp_path / "preview.png", image, labels)
    rows, cols = image.shape[:2]
    corners = np.lib.stride_tricks.sliding_window_view(picture[:, :, 0], cols, axis=1)
    found = np.argwhere((corners == image[0, :, 0]).all(axis=-1))
    assert len(found) == 1
    row, col = found[0]
    assert np.array_equal(picture[row : row + rows, col : col + cols], image)


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    image, labels = real_scene()
    for name in ("1.png", "2.png"):
        drawn(tmp_path / name, image, labels, names={1: "shade"}, title="scene")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / "file" / "preview.png"
    with pytest.raises(RunError, match="cannot be written") as failure:
        drawn(path, grey(5, 5), np.ones((5, 5), int))
    assert str(path) in str(failure.value)
