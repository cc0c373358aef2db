"""Addresses of stores on the command line and in Python: what does not work is one clear line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from helpers import DATA, alps_geo
from s3_server import BUCKET, Proxy, forget_stores, running_server

import alps_geo as library
from alps_geo.errors import RunError
from alps_geo.runs import address as addresses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENE = DATA / "neon_osbs_10cm.tif"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    monkeypatch.chdir(tmp_path)
    with running_server(monkeypatch) as found:
        yield found


def error(out: str) -> str:
    """Return the line that a run with results at an address fails with."""
    outcome = alps_geo("label", SCENE, "--out", out, "--work", "work")
    assert outcome.exit_code == 1
    (line,) = [line for line in outcome.stderr.splitlines() if not line.startswith("note:")]
    assert line.startswith("alps-geo: error: ")
    return line.removeprefix("alps-geo: error: ")


def usage_error(*command: object) -> str:
    """Return the text that a command is turned away with."""
    outcome = alps_geo(*command)
    assert outcome.exit_code == 2
    return " ".join(outcome.stderr.replace("│", " ").split())


def test_a_bucket_or_a_scheme_that_is_not_there(proxy: Proxy, tmp_path: Path) -> None:
    line = error("s3://nowhere/run")
    assert line.startswith("s3://nowhere/run/.tiles/run.json: cannot be read (The specified")
    assert line.endswith("expected a bucket that exists: make it, or correct the address")
    assert "gopher://bucket/run: cannot be opened (Protocol not known" in error(
        "gopher://bucket/run"
    )
    assert list(tmp_path.iterdir()) == []


def test_packages_that_are_not_installed(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "gs:// needs a package that is not installed" in error("gs://bucket/run")
    with monkeypatch.context() as patch:
        from fsspec.registry import _registry

        patch.delitem(_registry, "s3", raising=False)
        patch.setitem(sys.modules, "s3fs", None)
        assert error(f"s3://{BUCKET}/run").endswith("pip install 'alps-geo[cloud]' installs it")
    monkeypatch.setattr(addresses, "find_spec", lambda name: None)
    assert error(f"s3://{BUCKET}/run").endswith("pip install 'alps-geo[cloud]' installs them")


def test_a_store_that_is_not_there_or_lets_nobody_in(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.fault = lambda request: "403" if request[0] == "PUT" else ""
    line = error(f"s3://{BUCKET}/run")
    assert line.startswith(f"s3://{BUCKET}/run/.tiles/run.json: cannot be written (Access Denied)")
    assert "credentials that may put and remove objects (s3:PutObject, s3:DeleteObject)" in line
    proxy.fault = lambda _: "403"
    assert "may read objects (s3:GetObject) there" in error(f"s3://{BUCKET}/run")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    forget_stores()
    line = error(f"s3://{BUCKET}/run")
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/' in line
    assert "check the address, the network and AWS_ENDPOINT_URL" in line
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    forget_stores()
    assert "expected credentials for the store: AWS_ACCESS_KEY_ID" in error(f"s3://{BUCKET}/run")


def test_an_address_without_a_run_has_no_status(proxy: Proxy) -> None:
    outcome = alps_geo("status", f"s3://{BUCKET}/run/")
    assert outcome.exit_code == 1
    assert f"s3://{BUCKET}/run holds no run of alps-geo" in outcome.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("clusters", "name", "s3://bucket/run", "3=water"),
        ("clusters", "merge", "s3://bucket/run", 1, 2),
        ("clusters", "gallery", "s3://bucket/run"),
        ("clusters", "suggest", "s3://bucket/run"),
        ("clusters", "adopt", "s3://bucket/run"),
        ("classify", "s3://bucket/run", "--samples", "samples.gpkg"),
        ("similar", "s3://bucket/run", 5),
        ("assess", "sample", "s3://bucket/run"),
        ("report", "s3://bucket/run"),
        ("export", "s3://bucket/run", "--out", "chips"),
        ("export", "run", "--out", "s3://bucket/chips"),
        ("dataset", "label", "s3://bucket/images"),
        ("train", "pretrain", "s3://bucket/chips", "--out", "model"),
        ("train", "predict", SCENE, "--model", "s3://bucket/model", "--out", "maps"),
        ("train", "predict", "--segments", "s3://bucket/run", "--model", "m", "--out", "maps"),
    ],
)
def test_commands_that_need_a_folder_say_how_to_get_it(
    command: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = usage_error(*command)
    assert "is an address in a store, expected a path of this machine" in text
    assert "aws s3 sync s3://bucket/run DIR" in text
    assert list(tmp_path.iterdir()) == []


def test_options_that_do_not_go_with_the_place_of_results() -> None:
    for command in (
        ("label", SCENE, "--out", "results"),
        ("dataset", "label", "images"),
        ("train", "predict", SCENE, "--model", "model", "--out", "results"),
    ):
        assert "goes with an address as --out" in usage_error(*command, "--work", "work")
    text = usage_error("label", SCENE, "--out", "s3://bucket/run", "--report")
    assert "alps-geo report makes the page of a folder that was fetched" in text


def test_runs_are_opened_in_folders_alone() -> None:
    with pytest.raises(RunError, match="s3://bucket/run is an address in a store"):
        library.open_run("s3://bucket/run")
    with pytest.raises(RunError, match="s3://bucket/run is an address in a store"):
        library.label(str(SCENE), "s3://bucket/run")
    with pytest.raises(RunError, match="s3://bucket/run is an address in a store"):
        library.label_images(DATA, "s3://bucket/run")
    with pytest.raises(RunError, match=r"s3://bucket/model\.npz is an address in a store"):
        library.fit(str(SCENE), "s3://bucket/model.npz")


@pytest.mark.parametrize("text", ["s3://", "s3:///"])
def test_an_address_without_a_bucket_is_wrong_usage(text: str) -> None:
    outcome = alps_geo("label", SCENE, "--out", text)
    assert outcome.exit_code == 2
    assert f"{text} names no bucket; expected one, as s3://bucket/run" in outcome.stderr
