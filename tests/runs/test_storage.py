"""Storages keep files whole: on a disk, in memory and on an S3 server."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from run_folders import FIRST, FRAGMENTS, SECOND
from s3_server import BUCKET, Proxy, forget_stores, running_server

from alps_geo.errors import RunError
from alps_geo.files.storage import LocalStorage
from alps_geo.runs.failures import FailedTile
from alps_geo.runs.fsspec import ObjectStorage
from alps_geo.runs.tile_store import TileStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.files.storage import Storage


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with pytest.MonkeyPatch.context() as patch, running_server(patch) as found:
        yield found


@pytest.fixture(params=["disk", "file", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "disk":
        return LocalStorage(tmp_path / "run")
    if request.param == "s3":
        request.getfixturevalue("proxy")
    roots = {"file": f"file://{tmp_path}", "memory": f"memory://{uuid4()}", "s3": f"s3://{BUCKET}"}
    return ObjectStorage(f"{roots[request.param]}/{uuid4()}/run [1]")


@pytest.fixture
def store(proxy: Proxy) -> ObjectStorage:
    proxy.requests.clear()
    return ObjectStorage(f"s3://{BUCKET}/{uuid4()}")


def test_files_are_put_read_listed_and_removed(storage: Storage) -> None:
    assert storage.read("a.json") is None
    assert not storage.exists("a.json")
    assert storage.age("a.json") is None
    assert storage.names() == []
    assert storage.names("folder") == []
    storage.put("folder/a.json", b"one")
    storage.put("folder/in it/b.npz", b"")
    storage.put("folder/a.json", b"two")
    assert storage.read("folder/a.json") == b"two"
    assert storage.read("folder/in it/b.npz") == b""
    assert storage.exists("folder/a.json")
    assert not storage.exists("folder/a")
    age = storage.age("folder/a.json")
    assert age is not None
    assert age < 60
    assert storage.names("folder") == ["a.json", "in it/b.npz"]
    assert storage.names() == ["folder/a.json", "folder/in it/b.npz"]
    assert storage.names("fold") == []
    storage.remove(["folder/a.json", "folder/none"])
    assert storage.names() == ["folder/in it/b.npz"]
    copy = pickle.loads(pickle.dumps(storage))
    assert copy.read("folder/in it/b.npz") == b""


@pytest.mark.parametrize("scheme", ["memory", "s3"])
def test_a_new_file_takes_the_place_of_none(scheme: str, proxy: Proxy) -> None:
    storage = ObjectStorage(f"{scheme}://{BUCKET}/{uuid4()}")
    assert storage.put_new("a", b"first")
    assert not storage.put_new("a", b"second")
    assert storage.read("a") == b"first"


def test_tiles_in_a_store_are_found_by_one_listing(store: ObjectStorage, proxy: Proxy) -> None:
    tiles = TileStore(Path("scene.key"), "key", store.within("scene.key"))
    tiles.save(FIRST, FRAGMENTS)
    tiles.fail(FailedTile.of("scene", SECOND, "no memory"), SECOND)
    proxy.requests.clear()
    held = tiles.held()
    assert [held(tile) for tile in (FIRST, SECOND)] == [True, False]
    assert len(proxy.requests) == 1
    assert tiles.holds(FIRST)
    assert not tiles.holds(SECOND)
    assert tiles.has_failed(SECOND)
    tiles.forget_failures([FIRST, SECOND])
    assert not tiles.has_failed(SECOND)
    outlines = tiles.load_outlines(FIRST)
    assert outlines is not None
    assert outlines.valid_pixels == FRAGMENTS.valid_pixels


@pytest.mark.parametrize("size", [0, 20, -1])
def test_half_an_object_is_a_tile_to_be_made_again(size: int, store: ObjectStorage) -> None:
    files = store.within("scene.key")
    tiles = TileStore(Path("scene.key"), "key", files)
    tiles.save(FIRST, FRAGMENTS)
    name = "0000_0000.outlines.npz"
    files.put(name, (files.read(name) or b"")[:size])
    assert tiles.load_outlines(FIRST) is None
    assert tiles.load_embeddings(FIRST) is not None


@pytest.mark.parametrize("fault", ["503", "cut"])
def test_requests_that_fail_now_and_then_are_sent_again(
    fault: str, store: ObjectStorage, proxy: Proxy
) -> None:
    counts = iter(range(10**6))
    proxy.fault = lambda _: fault if next(counts) % 2 == 0 else ""
    try:
        store.put("a", b"one")
        assert store.read("a") == b"one"
        assert store.names() == ["a"]
        assert store.exists("a")
        store.remove(["a"])
        assert store.read("a") is None
    finally:
        proxy.fault = lambda _: ""


@pytest.mark.parametrize(
    ("fault", "reason"),
    # Which requests are made is up to the library, and answers to HEAD have no text of their own.
    [
        ("503", "Please reduce your request rate|Service Unavailable"),
        ("cut", "Connection"),
        ("delay", "imeout"),
    ],
)
def test_a_store_that_does_not_answer_is_told_in_one_line(
    fault: str, reason: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    # On a busy machine an answer may be late that is not meant to be.
    times = {"read_timeout": 0.3} if fault == "delay" else {}
    with pytest.MonkeyPatch.context() as patch:
        from fsspec.config import conf

        patch.setitem(conf, "s3", {"config_kwargs": times})
        forget_stores()
        store = ObjectStorage(f"s3://{BUCKET}/run")
        proxy.fault = lambda _: fault
        try:
            for work in (store.read, store.exists, store.names, lambda name: store.put(name, b"")):
                proxy.requests.clear()
                with pytest.raises(RunError) as error:
                    work("a")
                assert f"s3://{BUCKET}/run/a: cannot be " in str(error.value)
                assert re.search(reason, str(error.value))
                assert "the same command goes on" in str(error.value)
                assert "\n" not in str(error.value)
                assert 1 < len(proxy.requests) <= 16
        finally:
            proxy.fault = lambda _: ""
    forget_stores()
