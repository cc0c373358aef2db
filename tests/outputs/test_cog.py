"""Rasters of ids: valid COGs that keep pixels, colours and georeferencing, whole or not at all."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers import DATA, disk_of
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.env import get_gdal_config
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from alps_geo.clusters.colors import default_colors
from alps_geo.errors import RunError
from alps_geo.outputs.cog import GeoBox, IdBand, write_cog, write_cogs, write_legend
from alps_geo.outputs.id_styles import write_labels_style
from alps_geo.outputs.raster_rows import RasterRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENES = sorted(DATA.glob("*.tif"))
UTM = CRS.from_epsg(32633)
THIRD = Affine(1 / 3, 0, 1e5 / 7, 0, -1 / 3, 4e6 / 3)
PALETTE = {1: (200, 30, 40), 2: (10, 220, 90), 3: (1, 2, 3)}

Raster = NDArray[np.unsignedinteger[Any]]


def blocks_of(raster: Raster, size: int = 200) -> list[tuple[Window, Raster]]:
    rows, cols = raster.shape
    return [
        (
            Window(col, row, min(size, cols - col), min(size, rows - row)),
            raster[row : row + size, col : col + size],
        )
        for row in range(0, rows, size)
        for col in range(0, cols, size)
    ]


def write(
    path: Path,
    raster: Raster,
    crs: CRS | None = UTM,
    transform: Affine = THIRD,
    **band: Any,
) -> None:
    box = GeoBox(raster.shape[0], raster.shape[1], crs, transform)
    write_cog(path, blocks_of(raster), box, IdBand(raster.dtype, "cluster", **band))


def check_is_cog(path: Path, advice: int = 0) -> None:
    valid, errors, warned = cog_validate(path, quiet=True)
    assert valid
    assert errors == []
    assert len(warned) == advice, warned


def random_labels(rows: int, cols: int, dtype: str = "uint8", top: int = 4) -> Raster:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, top, (rows // 7 + 1, cols // 7 + 1), dtype=dtype)
    return coarse.repeat(7, axis=0).repeat(7, axis=1)[:rows, :cols]


@pytest.mark.parametrize("scene", SCENES, ids=lambda path: path.stem)
def test_labels_lie_on_the_scenes_grid(scene: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    with rasterio.open(scene) as source:
        band, crs, transform = source.read(1), source.crs, source.transform
    labels = np.digitize(band, np.quantile(band, [0.25, 0.5, 0.75])).astype(np.uint8)
    write(path, labels, crs=crs, transform=transform, colormap=PALETTE)
    check_is_cog(path)
    with rasterio.open(path) as raster:
        assert raster.crs == crs
        assert raster.transform == transform
        assert raster.shape == labels.shape
        assert raster.nodata == 0
        assert np.array_equal(raster.read(1), labels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_every_id_survives(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.tif"
    top = np.iinfo(dtype).max
    ids = random_labels(700, 1100, dtype, top=top)
    ids[0, 0], ids[-1, -1] = top, top - 1
    write(path, ids)
    check_is_cog(path)
    with rasterio.open(path) as raster:
        assert raster.dtypes == (dtype,)
        assert np.array_equal(raster.read(1), ids)
        assert raster.descriptions == ("cluster",)


@pytest.mark.parametrize("dtype", ["uint8", "uint32"])
def test_overviews_hold_ids_of_the_raster_alone(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.tif"
    ids = random_labels(1200, 1200, dtype, top=20)
    # No id lies between two others; float32 would round the large ones.
    ids[ids > 0] = ids[ids > 0] * 10 + np.array(2**25 + 1 if dtype == "uint32" else 0, dtype)
    write(path, ids)
    with rasterio.open(path) as raster:
        assert raster.overviews(1) == [2, 4]
    with rasterio.open(path, overview_level=1) as overview:
        assert set(np.unique(overview.read(1))) <= set(np.unique(ids))


def test_overviews_of_labels_show_the_commonest(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    labels = np.full((1024, 1024), 9, np.uint8)
    labels[::2, ::2] = 1
    write(path, labels)
    with rasterio.open(path, overview_level=0) as overview:
        assert np.all(overview.read(1) == 9)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (CRS.from_epsg(4326), Affine(0.1 / 3, 0, 11.1, 0, -0.1 / 7, 1 / 3)),
        (UTM, Affine(1 / 3, 0, 1e5 / 7, 0, 1 / 7, 4e6 / 3)),
        (CRS.from_epsg(3857), Affine(0.3, 0.1, 1 / 3, 0.1, -0.3, 1e6 / 7)),
        (CRS.from_epsg(2263), Affine(2 / 3, 0, 9e5 / 7, 0, -2 / 3, 1e6 / 3)),
        (CRS.from_string("+proj=laea +lat_0=52.123456789 +lon_0=10.1 +units=us-ft"), THIRD),
        (CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]'), THIRD),
        (None, THIRD),
        (None, Affine.identity()),
    ],
    ids=["geographic", "south-up", "rotated", "feet", "custom", "local", "none", "nothing"],
)
def test_georeferencing_survives_to_the_last_digit(
    crs: CRS | None, transform: Affine, tmp_path: Path
) -> None:
    path = tmp_path / "labels.tif"
    write(path, random_labels(60, 50), crs=crs, transform=transform)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        check_is_cog(path)
        with rasterio.open(path) as raster:
            assert raster.crs == crs
            assert raster.transform == transform


def test_a_crs_that_no_tiff_holds_survives_next_to_names(tmp_path: Path) -> None:
    rotated = CRS.from_string(
        "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 "
        "+to_meter=0.0174532925199433 +R=6371229"
    )
    path = tmp_path / "labels.tif"
    write(path, random_labels(60, 50), crs=rotated, category_names={1: "water"})
    with rasterio.open(path) as raster:
        assert raster.crs == rotated
    assert "water" in (tmp_path / "labels.tif.aux.xml").read_text()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colours_survive_and_nodata_is_transparent(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    write(path, random_labels(600, 600, dtype), colormap=PALETTE)
    with rasterio.open(path) as raster:
        colors = raster.colormap(1)
        assert {cluster: colors[cluster] for cluster in PALETTE} == {
            cluster: (*color, 255) for cluster, color in PALETTE.items()
        }
        assert colors[0][3] == 0
        assert raster.colorinterp == (rasterio.enums.ColorInterp.palette,)


def test_each_of_many_clusters_keeps_a_colour_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    labels = random_labels(700, 1100, "uint16", top=301)
    palette = {i + 1: (int(r), int(g), int(b)) for i, (r, g, b) in enumerate(default_colors(300))}
    write(path, labels, colormap=palette)
    write_labels_style(path, palette)
    with rasterio.open(path) as raster:
        stored = raster.colormap(1)
        assert len({stored[cluster] for cluster in palette}) == 300
    style = ET.parse(path.with_suffix(".qml")).getroot()
    assert len({entry.get("color") for entry in style.iter("paletteEntry")}) == 300


def test_a_colour_table_for_32_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"uint32.*uint8.*uint16"):
        write(tmp_path / "segments.tif", random_labels(50, 50, "uint32"), colormap=PALETTE)
    assert list(tmp_path.iterdir()) == []


def test_category_names_go_where_gdal_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    write(path, random_labels(60, 50), category_names={1: "water & ice", 3: "Wälder"})
    sidecar = ET.parse(tmp_path / "labels.tif.aux.xml")
    names = [each.text for each in sidecar.iter("Category")]
    assert names == ["unlabelled", "water & ice", "2", "Wälder"]
    check_is_cog(path)


def rename(path: Path, names: dict[int, str]) -> None:
    write_legend(path, IdBand("uint8", "cluster", category_names=names))


def test_other_names_leave_all_else_that_lies_next_to_a_raster(tmp_path: Path) -> None:
    path, sidecar = tmp_path / "labels.tif", tmp_path / "labels.tif.aux.xml"
    write(path, random_labels(60, 50), category_names={1: "water"})
    raster = path.read_bytes()
    rename(path, {})
    assert not sidecar.exists()
    # As QGIS keeps them.
    statistics = '<MDI key="STATISTICS_MAXIMUM">9</MDI>'
    sidecar.write_text(
        f'<PAMDataset><PAMRasterBand band="1"><Metadata>{statistics}</Metadata>'
        "</PAMRasterBand></PAMDataset>"
    )
    for names in ({2: "road"}, {1: "lake", 2: "street"}):
        rename(path, names)
        found = [each.text for each in ET.parse(sidecar).iter("Category")]
        assert found == ["unlabelled", names.get(1, "1"), names[2]][: max(names) + 1]
    rename(path, {})
    assert statistics in sidecar.read_text()
    assert "Category" not in sidecar.read_text()
    sidecar.write_text("<PAMData")
    rename(path, {1: "water"})
    assert "water" in sidecar.read_text()
    assert path.read_bytes() == raster


def test_names_of_an_earlier_raster_go_with_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    write(path, random_labels(60, 50), category_names={1: "water"})
    write(path, random_labels(60, 50))
    assert list(tmp_path.iterdir()) == [path]


def test_what_no_block_covers_is_nodata(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    labels = random_labels(700, 700)
    labels[200:400, 200:600] = 0
    blocks = [(window, block) for window, block in blocks_of(labels) if block.any()]
    write_cog(path, blocks, GeoBox(700, 700, UTM, THIRD), IdBand("uint8", "cluster"))
    with rasterio.open(path) as raster:
        assert np.array_equal(raster.read(1), labels)


def test_same_pixels_same_bytes_in_any_order(tmp_path: Path) -> None:
    labels = random_labels(1300, 900)
    contents = set()
    for number, blocks in enumerate(
        [
            blocks_of(labels),
            blocks_of(labels)[::-1],
            blocks_of(labels, 333),
            blocks_of(labels, 9999),
        ]
    ):
        path = tmp_path / f"{number}.tif"
        box, band = GeoBox(1300, 900, UTM, THIRD), IdBand("uint8", "cluster", PALETTE)
        write_cog(path, blocks, box, band)
        contents.add(path.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (400, 1), (900, 1), (900, 2)])
def test_scenes_of_one_pixel_width(shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    labels = random_labels(*shape)
    write(path, labels)
    # Validators recommend overviews for 900 rows, and refuse those of a single column.
    check_is_cog(path, advice=int(shape == (900, 1)))
    with rasterio.open(path) as raster:
        assert np.array_equal(raster.read(1), labels)


def test_rows_are_read_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "ids.tif"
    ids = random_labels(600, 70, "uint32", top=2**32 - 1)
    write(path, ids)
    assert np.array_equal(RasterRows(path)(100, 530), ids[100:530])


@pytest.mark.parametrize("size", [100, 3_000, 100_000])
def test_a_full_disk_leaves_nothing_behind(size: int, tmp_path: Path) -> None:
    path = tmp_path / "segments.tif"
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2**32 - 1, (300, 300), dtype=np.uint32)
    with disk_of(size), pytest.raises(RunError) as failure:
        write(path, ids)
    message = str(failure.value)
    assert message.startswith(f"{path}: cannot be written (")
    assert "make room" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    write(path, random_labels(50, 50))
    before = path.read_bytes()

    def broken() -> Iterator[tuple[Window, Raster]]:
        yield blocks_of(random_labels(50, 50))[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cog(path, broken(), GeoBox(50, 50, UTM, THIRD), IdBand("uint8", "cluster"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rasters_of_one_pass_are_those_written_alone(tmp_path: Path) -> None:
    one, other = random_labels(700, 600), random_labels(700, 600, "uint16", 900)
    write(tmp_path / "alone.tif", one, colormap=PALETTE)
    write(tmp_path / "next.tif", other)
    bands = {
        tmp_path / "one.tif": IdBand(one.dtype, "cluster", PALETTE),
        tmp_path / "other.tif": IdBand(other.dtype, "cluster"),
    }
    pairs = zip(blocks_of(one), blocks_of(other), strict=True)
    blocks = [(window, (first, second)) for (window, first), (_, second) in pairs]
    box = GeoBox(700, 600, UTM, THIRD)

    def failing() -> Iterator[tuple[Window, tuple[Raster, Raster]]]:
        yield from blocks[:3]
        raise RunError("no more tiles")

    with pytest.raises(RunError, match="no more tiles"):
        write_cogs(bands, failing(), box)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.tif", "next.tif"]
    write_cogs(bands, blocks, box)
    for name, alone in (("one.tif", "alone.tif"), ("other.tif", "next.tif")):
        assert (tmp_path / name).read_bytes() == (tmp_path / alone).read_bytes()


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    left = tmp_path / ".labels.tif.partial"
    left.mkdir()
    (left / "raw.tif").write_bytes(b"half")
    write(path, random_labels(50, 50))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / "file" / "labels.tif"
    with pytest.raises(RunError, match="cannot be written") as failure:
        write(path, random_labels(50, 50))
    assert str(path) in str(failure.value)


def test_a_result_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(RunError, match="cannot be written"):
        write(path, random_labels(50, 50))
    assert list(tmp_path.iterdir()) == [path]


def test_the_style_lists_clusters_with_names_and_colours(tmp_path: Path) -> None:
    write_labels_style(tmp_path / "labels.tif", PALETTE, {2: "fields & <woods>"})
    style = ET.parse(tmp_path / "labels.qml")
    renderer = next(style.iter("rasterrenderer"))
    assert renderer.get("type") == "paletted"
    assert [
        (entry.get("value"), entry.get("color"), entry.get("label"))
        for entry in renderer.iter("paletteEntry")
    ] == [("1", "#c81e28", "1"), ("2", "#0adc5a", "fields & <woods> (2)"), ("3", "#010203", "3")]


def test_blocks_are_kept_in_memory_while_a_raster_is_written(tmp_path: Path) -> None:
    """256 would be bytes: no block stays, and each is decoded once for every row of pixels."""
    held = []

    def blocks() -> Iterator[tuple[Window, Raster]]:
        held.append(get_gdal_config("GDAL_CACHEMAX"))
        yield from blocks_of(random_labels(64, 64))

    box = GeoBox(64, 64, UTM, THIRD)
    write_cog(tmp_path / "labels.tif", blocks(), box, IdBand("uint8", "cluster"))
    assert held[0] >= 512 * 30_000  # a row of blocks
