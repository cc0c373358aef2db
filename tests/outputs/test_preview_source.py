"""Previews of large scenes: bounded reads, and a part in which segments can be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from alps_geo.errors import RunError
from alps_geo.outputs.preview_source import DETAIL, PICTURE, read_map, store_pictures
from alps_geo.scene import open_scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE, CELL = 3000, 12
NORTH = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SOUTH = Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)


def write(path: Path, bands: NDArray[np.generic], transform: Affine = NORTH, **more: object) -> str:
    count, height, width = bands.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=count,
        height=height,
        width=width,
        dtype=bands.dtype,
        crs="EPSG:32632",
        transform=transform,
        tiled=True,
        compress="deflate",
        **more,
    ) as target:
        target.write(bands)
    return str(path)


def labelled(folder: Path, transform: Affine = NORTH, cell: int = CELL) -> int:
    """Write a scene whose pixels tell where they are, its segments (squares) and labels."""
    rows, cols = np.indices((SIDE, SIDE))
    image = np.stack([rows // 16, cols // 16, np.full_like(rows, 90)]).astype(np.uint8)
    write(folder / "scene.tif", image, transform)
    across = -(-SIDE // cell)
    ids = (rows // cell * across + cols // cell + 1).astype(np.uint32)
    write(folder / "segments.tif", ids[None], transform, nodata=0)
    # The middle is of one cluster; the lower left corner is as all of the scene is.
    labels = np.where((rows > 1500) & (cols < 1500) & (rows % 4 < 2), 2, 1).astype(np.uint8)
    write(folder / "labels.tif", labels[None], transform, nodata=0)
    return int(ids.max())


def stored(folder: Path, segments: int) -> None:
    store_pictures(folder, folder, open_scene(str(folder / "scene.tif")), segments)


@pytest.mark.parametrize("transform", [NORTH, SOUTH], ids=["north", "south"])
def test_a_part_of_a_large_scene_shows_its_segments(transform: Affine, tmp_path: Path) -> None:
    stored(tmp_path, labelled(tmp_path, transform))
    found = read_map(tmp_path, tmp_path / "labels.tif", tmp_path / "segments.tif")
    detail = found.detail
    assert found.segments is None
    assert detail is not None
    assert max(detail.image.shape) <= 1024
    # Segments are 32 pixels of a panel of 960.
    assert CELL * 960 / detail.image.shape[0] == pytest.approx(32, rel=0.01)
    # Pixels of the part are those of the scene in its box, north up.
    top, left, bottom, right = detail.box
    size = detail.image.shape[0]
    row, col = round(top * SIDE), round(left * SIDE)
    assert (round(bottom * SIDE) - row, round(right * SIDE) - col) == (size, size)
    with rasterio.open(tmp_path / "scene.tif") as raster:
        image = np.moveaxis(raster.read(), 0, -1)
    with rasterio.open(tmp_path / "segments.tif") as raster:
        ids = raster.read(1)
    if transform is SOUTH:
        image, ids = image[::-1], ids[::-1]
    assert np.array_equal(detail.image, image[row : row + size, col : col + size])
    assert np.array_equal(detail.segments, ids[row : row + size, col : col + size])


def test_the_part_is_the_one_most_like_the_scene(tmp_path: Path) -> None:
    stored(tmp_path, labelled(tmp_path))
    detail = read_map(tmp_path, tmp_path / "labels.tif", tmp_path / "segments.tif").detail
    assert detail is not None
    top, left, bottom, right = detail.box
    # An eighth of the scene is cluster 2: the part overlaps the corner that has all of it.
    assert bottom > 0.5
    assert left < 0.5
    assert top < bottom <= 1
    assert left < right <= 1


@pytest.mark.parametrize("cell", [60, 300])
def test_segments_that_can_be_told_apart_are_shown_all(cell: int, tmp_path: Path) -> None:
    stored(tmp_path, labelled(tmp_path, cell=cell))
    found = read_map(tmp_path, tmp_path / "labels.tif", tmp_path / "segments.tif")
    assert found.detail is None
    assert found.segments is not None
    assert max(found.segments.shape) <= 1024
    assert not (tmp_path / DETAIL).exists()


def test_a_part_of_an_earlier_run_goes(tmp_path: Path) -> None:
    count = labelled(tmp_path)
    stored(tmp_path, count)
    assert (tmp_path / DETAIL).exists()
    stored(tmp_path, 4)
    assert not (tmp_path / DETAIL).exists()


def test_no_more_is_read_than_a_picture_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No array of a scene, of its labels or its segments has more pixels than a picture."""
    count = labelled(tmp_path)
    scene = open_scene(str(tmp_path / "scene.tif"))
    shapes = []
    read = rasterio.DatasetReader.read

    class Reader(rasterio.io.DatasetReader):  # type: ignore[misc]  # rasterio has no types
        def read(self, *arguments: object, **keywords: object) -> NDArray[np.generic]:
            found: NDArray[np.generic] = read(self, *arguments, **keywords)
            shapes.append(found.shape[-2:])
            return found

    monkeypatch.setattr("rasterio.DatasetReader", Reader)
    monkeypatch.setattr("rasterio.io.DatasetReader", Reader)
    store_pictures(tmp_path, tmp_path, scene, count)
    read_map(tmp_path, tmp_path / "labels.tif", tmp_path / "segments.tif")
    for name in (PICTURE, DETAIL):
        with Image.open(tmp_path / name) as picture:
            assert max(picture.size) <= 1024
    assert shapes
    assert all(np.prod(shape) <= 1024 * 1024 for shape in shapes)


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    stored(tmp_path, labelled(tmp_path, cell=300))
    (tmp_path / PICTURE).unlink()
    with pytest.raises(RunError, match=r"picture\.png"):
        read_map(tmp_path, tmp_path / "labels.tif", tmp_path / "segments.tif")
