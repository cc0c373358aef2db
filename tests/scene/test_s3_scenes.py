"""Scenes in an S3 server that the AWS tools are told of, as they are read by GDAL."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers import DATA
from rasterio.windows import Window
from s3_server import BUCKET, running_server

from alps_geo.scene import open_scene, read_tile
from alps_geo.scene.raster import s3_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_server import Proxy

SCENE = DATA / "neon_osbs_10cm.tif"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with running_server(monkeypatch) as found:
        monkeypatch.delenv("AWS_S3_ENDPOINT", raising=False)
        found.client.upload_file(str(SCENE), BUCKET, "scenes/neon.tif")
        yield found


@pytest.mark.parametrize("start", ["s3://", "/vsis3/"])
def test_a_scene_is_read_from_the_server_that_the_environment_names(
    start: str, server: Proxy, tmp_path: Path
) -> None:
    # In another process: GDAL waits for the server, and Python with it.
    program = (
        "import sys; import numpy as np; from rasterio.windows import Window\n"
        "from alps_geo.scene import open_scene, read_tile\n"
        "scene = open_scene(sys.argv[1])\n"
        "np.save(sys.argv[2], read_tile(scene, Window(30, 40, 100, 90)).bands)\n"
    )
    found = tmp_path / "bands.npy"
    command = [sys.executable, "-c", program, f"{start}{BUCKET}/scenes/neon.tif", str(found)]
    subprocess.run(command, check=True, timeout=600)
    expected = read_tile(open_scene(str(SCENE)), Window(30, 40, 100, 90))
    assert np.array_equal(np.load(found), expected.bands)
    assert server.requests, "asked by way of the address that the environment names"


def test_what_a_user_tells_gdal_counts() -> None:
    told = {"AWS_ENDPOINT_URL": "https://minio.example.org:9000/"}
    assert s3_options(told) == {
        "AWS_S3_ENDPOINT": "minio.example.org:9000",
        "AWS_HTTPS": "YES",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }
    assert s3_options(told | {"AWS_S3_ENDPOINT": "other"}) == {}
    assert s3_options(told | {"AWS_VIRTUAL_HOSTING": "TRUE"})["AWS_VIRTUAL_HOSTING"] == "TRUE"
    assert s3_options({}) == {}
