"""Stored tiles: whole, or absent; outlines and embeddings each by themselves."""

from pathlib import Path

import numpy as np
import pytest
from run_folders import FIRST, FRAGMENTS, SECOND, stored, tile_store

from alps_geo.files import disk as files
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.tile_store import ARRAYS

KINDS = list(ARRAYS)


def test_a_tile_comes_back_as_it_was(tmp_path: Path) -> None:
    store, _ = stored(RunFolder(tmp_path))
    outlines, embeddings = store.load_outlines(FIRST), store.load_embeddings(FIRST)
    assert outlines is not None
    assert embeddings is not None
    assert outlines.failed is False
    assert store.holds(FIRST)
    pairs = [(outlines, FRAGMENTS), (outlines.objects, FRAGMENTS.objects)]
    for found, expected in [*pairs, (embeddings, FRAGMENTS.embeddings)]:
        for name, value in vars(found).items():
            if name != "objects":
                array = np.asarray(getattr(expected, name))
                assert np.asarray(value).dtype == array.dtype
                np.testing.assert_array_equal(value, array)


def test_a_tile_of_other_settings_or_none_is_absent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert tile_store(folder, "scene").load_outlines(FIRST) is None
    store, path = stored(folder)
    assert store.load_outlines(SECOND) is None
    assert tile_store(folder, "scene", "another key").load_outlines(FIRST) is None
    assert tile_store(folder, "another scene").load_outlines(FIRST) is None
    path.rename(path.with_name("0000_0001.outlines.npz"))
    assert store.load_outlines(SECOND) is None


@pytest.mark.parametrize("kind", KINDS)
def test_each_part_is_read_from_its_own_file(tmp_path: Path, kind: str) -> None:
    store, outlines = stored(RunFolder(tmp_path))
    outlines.with_name(f"0000_0000.{kind}").unlink()
    loaded = {
        "outlines.npz": store.load_outlines(FIRST),
        "embeddings.npz": store.load_embeddings(FIRST),
    }
    assert [name for name, part in loaded.items() if part is None] == [kind]
    assert not store.holds(FIRST)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_truncated_tile_is_absent(tmp_path: Path, keep: float, kind: str) -> None:
    store, outlines = stored(RunFolder(tmp_path))
    path = outlines.with_name(f"0000_0000.{kind}")
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    assert None in (store.load_outlines(FIRST), store.load_embeddings(FIRST))
    assert not store.holds(FIRST)


def test_a_tile_that_the_disk_does_not_give_back_is_absent(tmp_path: Path) -> None:
    store, path = stored(RunFolder(tmp_path))
    path.unlink()
    path.mkdir()  # for which reading fails, as for a bad sector
    assert not store.holds(FIRST)
    assert store.load_outlines(FIRST) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.999])
def test_a_tile_with_a_flipped_bit_is_absent(tmp_path: Path, share: float, kind: str) -> None:
    store, outlines = stored(RunFolder(tmp_path))
    path = outlines.with_name(f"0000_0000.{kind}")
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(bytes(data))
    assert None in (store.load_outlines(FIRST), store.load_embeddings(FIRST))
    assert not store.holds(FIRST)


def test_one_file_does_not_pass_for_the_other(tmp_path: Path) -> None:
    store, outlines = stored(RunFolder(tmp_path))
    outlines.replace(outlines.with_name("0000_0000.embeddings.npz"))
    assert store.load_embeddings(FIRST) is None


def test_a_tile_whose_outlines_are_not_there_yet_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the program is killed between the two files."""
    folder, written = RunFolder(tmp_path), files.put_bytes

    def killed(path: Path, data: bytes) -> None:
        if list(path.parent.glob("*.npz")):
            raise KeyboardInterrupt
        written(path, data)

    with monkeypatch.context() as patch:
        patch.setattr("alps_geo.files.storage.put_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            stored(folder)
    store = tile_store(folder, "scene")
    assert [path.name for path in store.folder.iterdir()] == ["0000_0000.embeddings.npz"]
    assert not store.holds(FIRST)
    assert store.load_outlines(FIRST) is None
    stored(folder)
    assert store.holds(FIRST)
