from pathlib import Path

import numpy as np
import pytest
from helpers import region_sums

from alps_geo.errors import RunError
from alps_geo.fragments import Fragments
from alps_geo.grid import TileGrid
from alps_geo.store import RunFolder, fingerprint

TILE = next(iter(TileGrid(8, 8, 8, 2)))
FRAGMENTS = Fragments(
    np.arange(64, dtype=np.int32).reshape(8, 8) % 3,
    region_sums(
        np.array([21, 21]),
        feature_sums=np.ones((2, 256)),
        band_sums=np.full((2, 4), 2.5),
        score_sums=np.array([[1.0, 2], [3, 4]]),
    ),
    touching=np.array([[1, 2]], dtype=np.int32),
    valid_pixels=60,
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
    assert back.valid_pixels == 60
    np.testing.assert_array_equal(back.labels, FRAGMENTS.labels)
    np.testing.assert_array_equal(back.touching, FRAGMENTS.touching)
    expected = FRAGMENTS.sums.arrays()
    for name, found in back.sums.arrays().items():
        np.testing.assert_array_equal(found, expected[name])


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
