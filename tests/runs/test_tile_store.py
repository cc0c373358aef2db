"""Stored tiles: whole, or absent."""

from pathlib import Path

import numpy as np
import pytest
from run_folders import FIRST, FRAGMENTS, SECOND, stored, tile_store

from alps_geo.runs.folder import RunFolder
from alps_geo.runs.tile_store import _plain_arrays
from alps_geo.segments.fragments import Fragments


def test_a_tile_comes_back_as_it_was(tmp_path: Path) -> None:
    store, _ = stored(RunFolder(tmp_path))
    outlines, embeddings = store.load_outlines(FIRST), store.load_embeddings(FIRST)
    assert outlines is not None
    assert embeddings is not None
    assert outlines.failed is False
    assert store.holds(FIRST)
    expected = _plain_arrays(FRAGMENTS)
    found = _plain_arrays(Fragments(**vars(outlines), embeddings=embeddings))
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_tile_of_other_settings_or_none_is_absent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert tile_store(folder, "scene").load_outlines(FIRST) is None
    store, path = stored(folder)
    assert store.load_outlines(SECOND) is None
    assert tile_store(folder, "scene", "another key").load_outlines(FIRST) is None
    assert tile_store(folder, "another scene").load_outlines(FIRST) is None
    path.rename(path.with_name("0000_0001.npz"))
    assert store.load_outlines(SECOND) is None


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_truncated_tile_is_absent(tmp_path: Path, keep: float) -> None:
    store, path = stored(RunFolder(tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    assert store.load_outlines(FIRST) is None
    assert not store.holds(FIRST)


def test_a_tile_that_the_disk_does_not_give_back_is_absent(tmp_path: Path) -> None:
    store, path = stored(RunFolder(tmp_path))
    path.unlink()
    path.mkdir()  # for which reading fails, as for a bad sector
    assert not store.holds(FIRST)
    assert store.load_embeddings(FIRST) is None


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.999])
def test_a_tile_with_a_flipped_bit_is_absent(tmp_path: Path, share: float) -> None:
    store, path = stored(RunFolder(tmp_path))
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(bytes(data))
    assert store.load_outlines(FIRST) is None
    assert not store.holds(FIRST)
