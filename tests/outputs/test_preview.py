"""The picture shows the scene on the left, its labels, its segments, and every colour's meaning."""

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
from alps_geo.outputs.preview_panels import BORDER
from alps_geo.outputs.preview_sheet import MapPicture

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
    shown = everywhere if valid is None else valid
    picture = MapPicture(image, labels, shown, more.pop("segments", None))
    write_preview([path], picture, legend, **more)
    with Image.open(path) as opened:
        assert opened.format == "PNG"
        return np.asarray(opened.convert("RGB"))


def panels(picture: Picture, cols: int, count: int) -> list[Picture]:
    """Cut the strips of the panels out of a picture."""
    margin, gap = (round(mm * picture.shape[1] / 250) for mm in (6, 3))
    starts = [margin + number * (cols + gap) for number in range(count)]
    return [picture[:, start : start + cols] for start in starts]


def count(picture: Picture, color: tuple[int, int, int]) -> int:
    return int(np.all(picture == np.array(color, np.uint8), axis=-1).sum())


def grey(rows: int, cols: int, level: int = 90) -> Picture:
    return np.full((rows, cols, 3), level, np.uint8)


def real_scene() -> tuple[Picture, NDArray[np.int64]]:
    with rasterio.open(DATA / "neon_osbs_10cm.tif") as scene:
        image = scene.read([1, 2, 3]).transpose(1, 2, 0)
    return image, np.digitize(image[..., 1], [80, 130])


def test_scene_labels_and_segments_from_left_to_right(tmp_path: Path) -> None:
    labels = np.ones((500, 500), int)
    labels[:, 250:] = 2
    segments = np.ones((500, 500), int)
    segments[100:] = 2
    picture = drawn(tmp_path / "preview.png", grey(500, 500), labels, segments=segments)
    scene, colored, borders = panels(picture, 500, 3)
    assert count(scene, (90, 90, 90)) == 500 * 500
    middle = colored[picture.shape[0] // 3]
    assert np.all(middle[:250] == RED)
    assert np.all(middle[250:] == GREEN)
    # The border of segments alone, not of clusters: two pixels thick, between rows 99 and 100.
    assert count(borders, BORDER) == 2 * 500
    assert count(borders, (90, 90, 90)) == 498 * 500
    top = np.flatnonzero(np.all(scene[:, 0] == 90, axis=-1))[0]
    assert np.all(borders[top + 99 : top + 101] == BORDER)


def test_borders_lie_between_segments_in_an_enlarged_scene(tmp_path: Path) -> None:
    segments = np.arange(10_000).reshape(100, 100) // 700
    labels = np.ones((100, 100), int)
    picture = drawn(tmp_path / "preview.png", grey(100, 100), labels, segments=segments)
    borders = panels(picture, 500, 3)[2]
    top = np.flatnonzero(np.all(borders[:, 0] == 90, axis=-1))[0]
    found = np.all(borders[top : top + 500] == BORDER, axis=-1)
    large = np.kron(segments, np.ones((5, 5), int))
    across, down = large[:, 1:] != large[:, :-1], large[1:] != large[:-1]
    at_border = np.zeros_like(found)
    for part, differ in (
        (np.s_[:, 1:], across),
        (np.s_[:, :-1], across),
        (np.s_[1:], down),
        (np.s_[:-1], down),
    ):
        at_border[part] |= differ
    assert found.any()
    assert np.array_equal(found, at_border)


def test_unlabelled_pixels_show_a_faint_scene(tmp_path: Path) -> None:
    image = grey(500, 500, 0)
    image[:250] = 255
    picture = drawn(tmp_path / "preview.png", image, np.zeros((500, 500), int))
    right = panels(picture, 500, 2)[1]
    assert count(right, (200, 200, 200)) == 500 * 250
    assert count(right, (245, 245, 245)) == 500 * 250


def test_pixels_without_data_are_white_everywhere(tmp_path: Path) -> None:
    valid = np.ones((500, 500), bool)
    valid[100:200] = False
    labels, segments = np.ones((500, 500), int), np.arange(250_000).reshape(500, 500)
    picture = drawn(tmp_path / "1.png", grey(500, 500), labels, valid, segments=segments)
    scene, colored, borders = panels(picture, 500, 3)
    assert count(scene, (90, 90, 90)) == count(colored, RED) == 500 * 400
    top = np.flatnonzero(np.all(scene[:, 0] == 90, axis=-1))[0]
    for panel in (scene, colored, borders):
        assert count(panel[top + 100 : top + 200], WHITE) == 500 * 100


def test_averaging_a_large_scene_leaves_out_what_has_no_data(tmp_path: Path) -> None:
    image, valid = grey(1920, 1920), np.ones((1920, 1920), bool)
    valid[1::2] = False
    image[1::2] = 200
    picture = drawn(tmp_path / "preview.png", image, np.ones((1920, 1920), int), valid)
    assert picture.shape[1] < 2100
    assert count(picture, (90, 90, 90)) == 960 * 960


@pytest.mark.parametrize("shape", [(300, 300), (960, 960), (200, 900), (1200, 60), (5, 7)])
def test_text_is_legible_at_25_cm(shape: tuple[int, int], tmp_path: Path) -> None:
    """Digits of 9 points are 2.3 mm high; type of less than 1.5 mm is no use on a page."""
    palette = {8: RED}
    picture = drawn(tmp_path / "1.png", grey(*shape), np.full(shape, 8), palette=palette)
    with Image.open(tmp_path / "1.png") as opened:
        assert opened.width / opened.info["dpi"][0] * 25.4 == pytest.approx(250, abs=1)
    millimetre = picture.shape[1] / 250
    rows = np.flatnonzero(np.all(picture == RED, axis=-1).any(axis=1))
    patch = rows[rows > rows[-1] - 4 * millimetre]
    left = round(10 * millimetre)
    # Right of the patch: the number of the cluster.
    digit = picture[patch[0] : patch[-1], left : left + round(4.5 * millimetre)]
    inked = np.flatnonzero(digit.min(axis=(1, 2)) < 120)
    assert 2.0 <= (inked[-1] - inked[0] + 1) / millimetre <= 2.8


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
    margin = round(6 * plain.shape[1] / 250)
    assert np.array_equal(titled[-plain.shape[0] + margin :], plain[margin:])


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
    rows = np.indices(picture.shape[:2])[0]
    patch = np.argwhere(np.all(picture == RED, axis=-1) & (rows > 550))
    (top, left), side = patch.min(axis=0), np.ptp(patch[:, 0])
    line = picture[top : top + side, left + side + 4 : left + 300].min(axis=(0, 2))
    inked = np.flatnonzero(line < 200)
    number, *rest = np.split(inked, np.flatnonzero(np.diff(inked) > 16) + 1)
    assert number.size < 12
    assert len(rest) == 1, "number and share, well apart"


def test_a_name_and_a_title_without_end_stay_inside(tmp_path: Path) -> None:
    labels = np.ones((400, 400), int)
    words = "water " * 200
    picture = drawn(tmp_path / "1.png", grey(400, 400), labels, names={1: words}, title=words)
    margin = picture[:, -25:]
    assert count(margin, WHITE) == margin.shape[0] * margin.shape[1]


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 700), (700, 1), (5, 7), (60, 1200), (1200, 60), (3000, 2)]
)
def test_any_shape_of_scene_is_seen(shape: tuple[int, int], tmp_path: Path) -> None:
    labels = np.ones(shape, int)
    picture = drawn(tmp_path / "preview.png", grey(*shape), labels, segments=labels)
    scene, red = count(picture, (90, 90, 90)), count(picture, RED)
    assert scene >= 56 * 56
    assert red > scene / 2
    assert max(picture.shape) < 3200


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
