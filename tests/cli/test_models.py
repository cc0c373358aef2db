"""`alps-geo models`: the list, and downloads from a server of this machine's own."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers import DATA, alps_geo

from alps_geo.sam import weights

CONTENT = b"the weights of a model" * 1000


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are none of the tests' output."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve vit_b from this machine into a cache of the test's own; gives the cache's parent."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "vit_b.pth").write_bytes(CONTENT)
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(weights, "cache_folder", lambda: cache)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=served)) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        spec = replace(
            weights.MODELS["vit_b"],
            url=f"http://127.0.0.1:{http.server_port}/vit_b.pth",
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            size=len(CONTENT),
        )
        monkeypatch.setitem(weights.MODELS, "vit_b", spec)
        yield cache
        http.shutdown()


def test_the_list_names_all_models_and_what_is_present(server: Path) -> None:
    outcome = alps_geo("models")
    assert outcome.exit_code == 0
    for name in weights.MODELS:
        assert name in outcome.stdout
    rows = {row["name"]: row for row in json.loads(alps_geo("models", "--json").stdout)}
    assert rows["mobile_sam"]["present"] is True
    assert Path(rows["mobile_sam"]["path"]).is_file()
    assert rows["vit_b"]["present"] is False


def test_a_download_is_checked_and_kept(server: Path) -> None:
    outcome = alps_geo("models", "--download", "vit_b", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    rows = {row["name"]: row for row in json.loads(outcome.stdout)}
    assert rows["vit_b"]["present"] is True
    assert Path(rows["vit_b"]["path"]).read_bytes() == CONTENT


def test_a_file_of_anything_else_is_not_taken_for_a_model(server: Path, tmp_path: Path) -> None:
    server.mkdir()
    junk = weights.MODELS["vit_b"].path
    junk.write_bytes(b"<html>not found</html>")
    rows = {row["name"]: row for row in json.loads(alps_geo("models", "--json").stdout)}
    assert (rows["vit_b"]["present"], rows["vit_b"]["damaged"]) == (False, True)
    assert "damaged" in alps_geo("models").stdout
    # Of the right size it would be listed, but it is never used.
    junk.write_bytes(bytes(len(CONTENT)))
    run = ("label", DATA / "landsat5_int16_1band.tif", "--out", tmp_path / "out")
    outcome = alps_geo(*run, "--model", "vit_b")
    assert outcome.exit_code == 1
    assert "alps-geo models --download vit_b replaces it" in outcome.stderr
    assert alps_geo("models", "--download", "vit_b").exit_code == 0
    assert junk.read_bytes() == CONTENT


def test_a_download_with_another_digest_is_thrown_away(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(weights.MODELS["vit_b"], sha256="0" * 64)
    monkeypatch.setitem(weights.MODELS, "vit_b", spec)
    outcome = alps_geo("models", "--download", "vit_b")
    assert outcome.exit_code == 1
    assert "SHA-256" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not [path for path in server.rglob("*") if path.is_file()]


def test_a_model_that_cannot_be_reached_is_an_error_that_says_what_else_to_do(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(weights.MODELS["vit_b"], url="http://127.0.0.1:9/none.pth")
    monkeypatch.setitem(weights.MODELS, "vit_b", spec)
    outcome = alps_geo("models", "--download", "vit_b")
    assert outcome.exit_code == 1
    assert "--checkpoint" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
