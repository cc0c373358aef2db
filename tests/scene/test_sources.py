"""The files behind a scene: which changes make it another one, and which do not."""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling

from alps_geo.runs.identity import fingerprint, scene_identity
from alps_geo.scene import open_scene
from alps_geo.scene.sources import _asked

TRANSFORM = Affine(1, 0, 350_000, 0, -1, 4_300_000)
SIDE = 24


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (3, SIDE, SIDE), dtype=np.uint8)


def write(path: Path, seed: int = 0, driver: str = "GTiff", **profile: object) -> Path:
    shape = {"count": 3, "height": SIDE, "width": SIDE, "dtype": "uint8"}
    place = {"crs": "EPSG:32618", "transform": TRANSFORM}
    with rasterio.open(path, "w", driver=driver, **{**shape, **place, **profile}) as target:
        target.write(pixels(seed)[: int(str(profile.get("count", 3)))])
    return path


def again(path: Path, seed: int = 1) -> None:
    """Write other pixels of the same size at another time."""
    time = path.stat().st_mtime_ns
    write(path, seed)
    os.utime(path, ns=(time, time + 1_000_000))


def mosaic(path: Path, *sources: str) -> Path:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename>'
            f"<SourceBand>{band}</SourceBand></SimpleSource>"
            for source in sources
        )
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>EPSG:32618</SRS>'
        f"<GeoTransform>350000, 1, 0, 4300000, 0, -1</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def identity(path: Path | str) -> str:
    return fingerprint(scene_identity(open_scene(str(path))))


def plain(folder: Path) -> tuple[str, Path]:
    path = write(folder / "a.tif")
    return str(path), path


def of_vrt(folder: Path) -> tuple[str, Path]:
    return str(mosaic(folder / "v.vrt", str(write(folder / "a.tif")))), folder / "a.tif"


def of_vrt_of_vrt(folder: Path) -> tuple[str, Path]:
    inner, source = of_vrt(folder)
    return str(mosaic(folder / "vv.vrt", inner)), source


def of_connection(folder: Path) -> tuple[str, Path]:
    inner, source = of_vrt(folder)
    return f"vrt://{inner}?bands=1,2,3", source


def of_subdataset(folder: Path) -> tuple[str, Path]:
    path = write(folder / "a.tif")
    return f"GTIFF_DIR:1:{path}", path


def of_vrt_of_subdataset(folder: Path) -> tuple[str, Path]:
    name, path = of_subdataset(folder)
    return str(mosaic(folder / "v.vrt", name)), path


def of_url(folder: Path) -> tuple[str, Path]:
    path = write(folder / "a.tif")
    return path.as_uri(), path


def of_part(folder: Path) -> tuple[str, Path]:
    path = write(folder / "a.tif")
    return f"/vsisubfile/0_{path.stat().st_size},{path}", path


def of_index(folder: Path) -> tuple[str, Path]:
    path = write(folder / "a.tif")
    place = shapely.box(350_000, 4_300_000 - SIDE, 350_000 + SIDE, 4_300_000)
    table = gpd.GeoDataFrame({"location": ["a.tif"]}, geometry=[place], crs="EPSG:32618")
    table["location"] = str(path)
    table.to_file(folder / "index.gti.gpkg")
    return str(folder / "index.gti.gpkg"), path


def of_index_by_prefix(folder: Path) -> tuple[str, Path]:
    name, path = of_index(folder)
    return f"GTI:{name}", path


def of_described_index(folder: Path) -> tuple[str, Path]:
    name, path = of_index(folder)
    described = folder / "index.gti"
    described.write_text(
        f"<GDALTileIndexDataset><IndexDataset>{name}</IndexDataset>"
        "<LocationField>location</LocationField></GDALTileIndexDataset>"
    )
    return str(described), path


LAYOUTS: list[Callable[[Path], tuple[str, Path]]] = [
    plain,
    of_vrt,
    of_vrt_of_vrt,
    of_connection,
    of_subdataset,
    of_vrt_of_subdataset,
    of_url,
    of_part,
    of_index,
    of_index_by_prefix,
    of_described_index,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_a_scene_is_another_once_a_file_is_that_its_pixels_come_from(
    layout: Callable[[Path], tuple[str, Path]], tmp_path: Path
) -> None:
    name, source = layout(tmp_path)
    before = identity(name)
    assert identity(name) == before
    again(source)
    assert identity(name) != before


@pytest.mark.parametrize("layout", [of_vrt, of_vrt_of_vrt, of_index], ids=lambda x: x.__name__)
def test_a_mask_next_to_a_source_counts(
    layout: Callable[[Path], tuple[str, Path]], tmp_path: Path
) -> None:
    name, source = layout(tmp_path)
    before = identity(name)
    add_mask(source)
    assert identity(name) != before


def add_mask(path: Path) -> None:
    """Add a mask next to a raster, which itself keeps size and time."""
    time = path.stat().st_mtime_ns
    mask = np.ones((SIDE, SIDE), bool)
    mask[:, SIDE // 2 :] = False
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(path, "r+") as target,
    ):
        target.write_mask(mask)
    os.utime(path, ns=(time, time))
    assert path.with_name(f"{path.name}.msk").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_another_archive_is_another_scene(kind: str, tmp_path: Path) -> None:
    path, archive = write(tmp_path / "a.tif"), tmp_path / f"a.{kind}"

    def pack() -> None:
        if kind == "zip":
            with zipfile.ZipFile(archive, "w") as file:
                file.write(path, "in/a.tif")
        else:
            with tarfile.open(archive, "w") as tar:
                tar.add(path, "in/a.tif")

    pack()
    names = [f"/vsi{kind}/{archive}/in/a.tif", f"{kind}://{archive}!in/a.tif"]
    names += [f"/vsi{kind}/{{{archive}}}/in/a.tif"]
    names += [str(mosaic(tmp_path / "v.vrt", names[0]))]
    before = [identity(name) for name in names]
    again(path)
    pack()
    os.utime(archive, ns=(1, 1))
    # A mosaic's own file may be read from GDAL's memory here, but not its identity.
    assert all(identity(name) != known for name, known in zip(names, before, strict=True))


def test_a_world_file_a_mask_and_a_crs_that_come_later_make_another_scene(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.moveaxis(pixels(0), 0, -1)).save(path)
    known = [identity(path)]
    path.with_suffix(".jgw").write_text("1\n0\n0\n-1\n350000.5\n4299999.5\n")
    known.append(identity(path))
    crs = rasterio.crs.CRS.from_epsg(32618).to_wkt()
    aux = path.with_name("photo.jpg.aux.xml")
    aux.write_text(f"<PAMDataset><SRS>{crs.replace(chr(34), '&quot;')}</SRS></PAMDataset>")
    known.append(identity(path))
    tif = write(tmp_path / "a.tif")
    known.append(identity(tif))
    add_mask(tif)
    known.append(identity(tif))
    assert len(set(known)) == 5


def test_looking_at_a_scene_and_building_overviews_leave_it_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    mosaic(tmp_path / "v.vrt", str(path))
    before = [identity(path), identity(tmp_path / "v.vrt")]
    band = "".join(f'<MDI key="STATISTICS_{name}">1</MDI>' for name in ("MINIMUM", "MAXIMUM"))
    aux = path.with_name("a.tif.aux.xml")
    looked = (
        '<PAMDataset><PAMRasterBand band="1"><Histograms><HistItem><HistMin>1</HistMin>'
        f"</HistItem></Histograms><Metadata>{band}</Metadata></PAMRasterBand>"
    )
    aux.write_text(f"{looked}</PAMDataset>")
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as scene:
        scene.build_overviews([2], Resampling.average)
    os.utime(path, ns=(time, time))
    assert path.with_name("a.tif.ovr").exists()
    assert path.stat().st_size == size
    assert [identity(path), identity(tmp_path / "v.vrt")] == before
    aux.write_text(
        f'{looked}<PAMRasterBand band="2"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    changed = [identity(path), identity(tmp_path / "v.vrt")]
    assert not set(changed) & set(before)


def test_what_nobody_knows_the_time_of_is_told_by_its_pixels(tmp_path: Path) -> None:
    def in_memory(seed: int) -> tuple[str, tuple[str, ...]]:
        data = write(tmp_path / "a.tif", seed).read_bytes()
        with rasterio.MemoryFile(data, dirname="sources", filename="a.tif") as file:
            return identity(file.name), open_scene(file.name).notes

    first, notes = in_memory(0)
    assert any("/a.tif doesn't say when it was changed" in note for note in notes)
    assert in_memory(0)[0] == first
    assert in_memory(1)[0] != first


# Names in the path say what the server tells: /etag/a.tif, /date/a.tif, /silent/a.tif.
SERVER = """
import hashlib, pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Files(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, name = self.path.lstrip("/").partition("/")
        file = pathlib.Path(sys.argv[1], name)
        if not file.is_file() or (kind == "signed" and self.command == "HEAD"):
            self.send_error(404 if kind != "signed" else 403)
            return
        data = file.read_bytes()
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        part = data[int(asked[0]) : int(asked[1] or len(data)) + 1]
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            last = int(asked[0]) + len(part) - 1
            self.send_header("Content-Range", f"bytes {asked[0]}-{last}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        if kind in ("etag", "signed"):
            self.send_header("ETag", hashlib.md5(data).hexdigest())
        if kind == "date":
            self.send_header("Last-Modified", self.date_time_string(file.stat().st_mtime))
        self.end_headers()
        self.wfile.write(part if self.command == "GET" else b"")

    do_HEAD = do_GET

server = HTTPServer(("127.0.0.1", 0), Files)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server of the test's folder: another process, as GDAL opens files with the GIL held."""
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        # Else GDAL would not ask twice in one process.
        with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=f"/vsicurl/{url}"):
            yield url
        process.terminate()


@pytest.mark.parametrize("kind", ["etag", "date", "silent"])
def test_a_remote_scene_is_another_once_its_server_says_so(
    kind: str, server: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif")
    names = [f"{server}/{kind}/a.tif", f"/vsicurl/{server}/{kind}/a.tif"]
    names += [str(mosaic(tmp_path / "v.vrt", names[1]))]
    scenes = [open_scene(name) for name in names]
    before = [identity(name) for name in names]
    assert [identity(name) for name in names] == before
    said = [any("doesn't say when it was changed" in note for note in s.notes) for s in scenes]
    assert said == [kind == "silent"] * len(names)
    again(path)
    os.utime(path, (1, 1))
    after = [identity(name) for name in names]
    assert all(new != old for new, old in zip(after, before, strict=True))


def test_a_server_is_asked_for_a_byte_where_it_forbids_to_ask_for_none(
    server: str, tmp_path: Path
) -> None:
    """As with links that are signed for reading alone."""
    path = write(tmp_path / "a.tif")
    facts = _asked(f"{server}/signed/a.tif")
    assert facts == _asked(f"{server}/etag/a.tif")
    assert str(path.stat().st_size) in str(facts)
    assert _asked(f"{server}/etag/absent.tif") is None
    assert _asked("http://127.0.0.1:1/a.tif") is None
    assert _asked("http://127.0.0.1:port/a b.tif") is None
