"""Broken rasters: one line for each, and no more lost than is damaged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from helpers import DATA
from numpy.typing import NDArray
from rasterio.windows import Window
from scene_rasters import RGBA, noise, note_about, write

from alps_geo.errors import SceneError
from alps_geo.scene import (
    open_scene,
    read_overview,
    read_tile,
)


def one_line(error: pytest.ExceptionInfo[SceneError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nowhere\.tif does not exist: check the path"):
        open_scene(str(tmp_path / "nowhere.tif"))


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    with pytest.raises(SceneError, match=r"a\.tif is empty \(0 bytes\)"):
        open_scene(str(tmp_path / "a.tif"))


def test_folder_as_scene(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="is a folder, expected a raster file"):
        open_scene(str(tmp_path))


def test_not_a_raster(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not pixels")
    with pytest.raises(
        SceneError, match=r"a\.tif cannot be opened as a raster .* GeoTIFF"
    ) as error:
        open_scene(str(tmp_path / "a.tif"))
    one_line(error)


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", noise(3, 9, 9))
    # Tests may run as root, who may read everything.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SceneError, match=r"a\.tif may not be read .* permissions"):
        open_scene(path)


def test_complex_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.ones((1, 9, 9), np.complex64))
    with pytest.raises(
        SceneError, match="complex64 values, expected real numbers: write amplitude"
    ):
        open_scene(path)


def test_container_of_rasters_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    for table in ("first", "second"):
        write(
            path,
            noise(3, 9, 9),
            driver="GPKG",
            RASTER_TABLE=table,
            APPEND_SUBDATASET=path.exists(),
        )
    with pytest.raises(SceneError, match=r"container of 2 rasters.* (GPKG:\S+:first)$") as error:
        open_scene(str(path))
    scene = open_scene(one_line(error).split()[-1])
    assert scene.name == "a.gpkg_first"
    assert scene.size_bytes is None


@pytest.mark.parametrize(
    ("pixels", "profile", "why"),
    [
        (np.full((3, 50, 50), 7, np.uint8), {"nodata": 7}, "nodata is 7"),
        (np.full((1, 50, 50), np.nan, np.float32), {}, "NaN"),
        (np.zeros((3, 50, 50), np.uint16), {}, "all are zero"),
        (np.zeros((4, 50, 50), np.uint8), {"tags": RGBA}, "band 4 is alpha"),
    ],
)
def test_no_valid_pixel(
    tmp_path: Path, pixels: NDArray[Any], profile: dict[str, Any], why: str
) -> None:
    path = write(tmp_path / "a.tif", pixels, **profile)
    with pytest.raises(SceneError, match=rf"a\.tif has no valid pixel \(.*{why}.*--nodata"):
        open_scene(path)


def test_the_only_valid_pixels_may_be_between_the_samples(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3000, 5000), np.uint16)
    pixels[0, 2500, 4000:4002] = 5, 9
    scene = open_scene(
        write(tmp_path / "a.tif", pixels, nodata=0, compress="zstd"), stretch=(0, 100)
    )
    assert list(scene.stretch or ()) == [(5, 9)] * 3


def truncated(path: Path, share: float) -> str:
    """An uncompressed raster of 16 blocks of 256 x 256, of which only a share of bytes is left."""
    write(path, noise(3, 1024, 1024), tiled=True, blockxsize=256, blockysize=256)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return str(path)


def test_truncated_file_opens_and_the_lost_window_is_named(tmp_path: Path) -> None:
    scene = open_scene(truncated(tmp_path / "a.tif", 0.6))
    assert "cannot be read" in note_about(scene, "truncated")
    assert read_tile(scene, Window(0, 0, 256, 256)).valid.all()
    with pytest.raises(
        SceneError, match=r"a\.tif: rows 768 to 1024, columns 512 to 1024 cannot be read \(.+\)"
    ) as error:
        read_tile(scene, Window(512, 768, 512, 256))
    one_line(error)
    overview = read_overview(scene, 512)
    assert overview.valid[:200].all()
    assert not overview.valid[400:].any()


def test_file_truncated_to_its_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="truncated or damaged, copy or download it again"):
        open_scene(truncated(tmp_path / "a.tif", 0.01))


def with_a_bad_block(path: Path, row: int, col: int) -> str:
    """Overwrite what a tiled, compressed raster holds of one block."""
    with rasterio.open(path) as raster:
        start, size = (
            int(raster.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1))
            for what in ("OFFSET", "SIZE")
        )
    content = bytearray(path.read_bytes())
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    return str(path)


BLOCKS: dict[str, Any] = {
    "tiled": True,
    "blockxsize": 128,
    "blockysize": 128,
    "compress": "deflate",
}


def test_a_bad_block_leaves_data_with_a_false_alpha_tag_data(tmp_path: Path) -> None:
    with rasterio.open(DATA / "naip_md_1m.tif") as naip:
        tags, pixels = naip.colorinterp, naip.read(window=Window(300, 300, 300, 280))
    path = Path(write(tmp_path / "a.tif", pixels, tags=tags, **BLOCKS))
    scene = open_scene(with_a_bad_block(path, 2, 2))
    assert scene.data_bands == (1, 2, 3, 4)
    note_about(scene, "damaged")
    valid = read_overview(scene, 300).valid
    assert valid[: 256 - 280 // 64].all()
    assert not valid[256:, 256:].any()


def test_one_bad_block_costs_no_more_of_the_overview_than_itself(tmp_path: Path) -> None:
    """The scene is one row of blocks, so that every strip of rows has the bad one in it."""
    path = Path(write(tmp_path / "a.tif", noise(3, 120, 700), **BLOCKS))
    scene = open_scene(with_a_bad_block(path, 0, 3))
    note_about(scene, "damaged")
    valid = read_overview(scene, 700).valid
    assert not valid[:, 3 * 128 : 4 * 128].any()
    assert valid[:, : 3 * 128 - 700 // 64].all()
    assert valid[:, 4 * 128 + 700 // 64 :].all()


def test_gdal_keeps_quiet(tmp_path: Path) -> None:
    """Outside pytest, with its own logging: nothing on stderr about bad or unplaced rasters."""
    bad = truncated(tmp_path / "a.tif", 0.6)
    plain = write(tmp_path / "b.tif", noise(3, 9, 9), crs=None, transform=None)
    code = (
        "from alps_geo.scene import open_scene; import sys\n"
        "for path in sys.argv[1:]: open_scene(path)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, bad, plain],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
