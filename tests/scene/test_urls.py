"""Scenes behind URLs."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from helpers import DATA
from scene_rasters import whole

from alps_geo.datasets import find_scenes
from alps_geo.errors import SceneError
from alps_geo.scene import (
    open_scene,
)

SERVER = """
import pathlib, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler

class Ranges(SimpleHTTPRequestHandler):
    # Serves byte ranges, as every host of cloud-optimised GeoTIFFs does.
    def do_GET(self):
        file = pathlib.Path(sys.argv[1] + self.path)
        if not file.is_file():
            return self.send_error(404)
        content = file.read_bytes()
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        part = content[int(asked[0]) : int(asked[1] or len(content)) + 1]
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            last = int(asked[0]) + len(part) - 1
            self.send_header("Content-Range", f"bytes {asked[0]}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(part if self.command == "GET" else b"")

    do_HEAD = do_GET

server = HTTPServer(("127.0.0.1", 0), Ranges)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server() -> Iterator[str]:
    """A server of the test scenes: another process, as GDAL opens files with the GIL held."""
    command = [sys.executable, "-c", SERVER, str(DATA)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def test_url(server: str) -> None:
    (url,) = find_scenes([f"{server}/neon_osbs_10cm.tif"])
    scene = open_scene(url)
    assert (scene.name, scene.size_bytes, scene.mtime) == ("neon_osbs_10cm", None, None)
    local = open_scene(str(DATA / "neon_osbs_10cm.tif"))
    np.testing.assert_array_equal(whole(scene).image, whole(local).image)


def test_url_of_nothing(server: str) -> None:
    with pytest.raises(SceneError, match=r"none\.tif cannot be opened as a raster \(HTTP.*404"):
        open_scene(f"{server}/none.tif")
