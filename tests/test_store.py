from pathlib import Path

import numpy as np
import pytest

from alps_geo.errors import RunError
from alps_geo.features import RegionSums
from alps_geo.fragments import Fragments
from alps_geo.grid import TileGrid
from alps_geo.store import RunFolder, fingerprint

TILE = next(iter(TileGrid(8, 8, 8, 2)))
FRAGMENTS = Fragments(
    np.arange(64, dtype=np.int32).reshape(8, 8) % 3,
    RegionSums(np.array([21.0, 21.0]), np.ones((2, 256)), np.array([[1.0, 2], [3, 4]])),
    size=np.array([21, 21]),
    rank=np.array([1, 3], dtype=np.uint8),
)


def stored(folder: RunFolder) -> Path:
    folder.save_tile("scene", TILE, "key", FRAGMENTS)
    (path,) = folder.path.glob(".tiles/scene/*.npz")
    return path


def test_a_tile_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    stored(folder)
    back = folder.load_tile("scene", TILE, "key")
    assert back is not None
    np.testing.assert_array_equal(back.size, FRAGMENTS.size)
    np.testing.assert_array_equal(back.rank, FRAGMENTS.rank)
    np.testing.assert_array_equal(back.labels, FRAGMENTS.labels)
    np.testing.assert_array_equal(back.sums.feature_sums, FRAGMENTS.sums.feature_sums)
    np.testing.assert_array_equal(back.sums.score_sums, FRAGMENTS.sums.score_sums)


def test_a_tile_of_other_settings_or_none_is_absent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.load_tile("scene", TILE, "key") is None
    stored(folder)
    assert folder.load_tile("scene", TILE, "another key") is None
    assert folder.load_tile("another scene", TILE, "key") is None


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_truncated_tile_is_absent(tmp_path: Path, keep: float) -> None:
    folder = RunFolder(tmp_path)
    path = stored(folder)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    assert folder.load_tile("scene", TILE, "key") is None


def test_a_tile_with_flipped_bits_is_absent(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    path = stored(folder)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(b ^ 0xFF for b in data[middle : middle + 8])
    path.write_bytes(bytes(data))
    assert folder.load_tile("scene", TILE, "key") is None


def test_another_run_in_the_folder_needs_overwrite(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin({"settings": 1}, overwrite=False)
    folder.begin({"settings": 1}, overwrite=False)
    with pytest.raises(RunError, match=r"holds another run.*--overwrite"):
        folder.begin({"settings": 2}, overwrite=False)
    folder.begin({"settings": 2}, overwrite=True)
    with pytest.raises(RunError, match="holds another run"):
        folder.begin({"settings": 1}, overwrite=False)


def test_a_finished_run_is_recognised_while_its_files_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin({"settings": 1}, overwrite=False)
    assert folder.finished_record({"settings": 1}) is None
    (tmp_path / "clusters.npz").write_bytes(b"model")
    folder.record_path.write_text('{"files": ["clusters.npz"]}')
    assert folder.finished_record({"settings": 1}) == {"files": ["clusters.npz"]}
    assert folder.finished_record({"settings": 2}) is None
    (tmp_path / "clusters.npz").unlink()
    assert folder.finished_record({"settings": 1}) is None


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(RunError, match="is a file, expected a folder"):
        RunFolder(path).begin({}, overwrite=True)
    assert path.read_text() == "mine"


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
