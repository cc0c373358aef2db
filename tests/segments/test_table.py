from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alps_geo.errors import RunError
from alps_geo.features.columns import Columns, ColumnSchema
from alps_geo.features.sums import BANDS, MASKS, SQUARES, WEIGHT, RegionSums
from alps_geo.segments.core_sums import SegmentSums
from alps_geo.segments.pooling import SegmentRows
from alps_geo.segments.stitch import Segments
from alps_geo.segments.table import open_table, read_segments, write_tables

FEATURES = ("sam", "spectral", "texture")
SCHEMA = ColumnSchema(tuple("rgbn"), "uint8", FEATURES, {"sam": 256})
SEGMENTS = Segments(area=np.array([4, 6, 8]), valid_pixels=20)
BAND_MEANS = np.array([[10.0, 20, 30, 40], [1, 2, 3, 4], [9, 9, 9, 9]])
BAND_STDS = np.array([[1.0, 2, 3, 4], [0, 0, 0, 0], [0.5, 0, 5, 50]])


def described(*segments: int, schema: ColumnSchema = SCHEMA) -> SegmentRows:
    """Columns of sums whose feature is the segment's id; segment 2 has no mask."""
    ids = np.array(segments, np.uint32)
    area = SEGMENTS.area[ids - 1].astype(np.float64)
    by_mask = np.where(ids == 2, 0.0, area)
    means = BAND_MEANS[ids - 1]
    sums = SegmentSums(
        ids,
        RegionSums(
            area,
            {
                MASKS: np.stack([by_mask, 0.5 * by_mask, 0.25 * by_mask], axis=1),
                BANDS: means * area[:, None],
                SQUARES: (means**2 + BAND_STDS[ids - 1] ** 2) * area[:, None],
                "moments": np.ones((len(ids), 5)),
                "texture": np.ones((len(ids), 3)),
                WEIGHT: area[:, None],
                "sam": np.repeat(area * ids.astype(np.float64), 256).reshape(-1, 256),
            },
        ),
    )
    return SegmentRows.of(schema, sums)


ROWS = np.array([2, 1, 3], np.uint32)


def written(folder: Path) -> None:
    write_tables(folder, SEGMENTS, ROWS, [described(1, 3), described(2)], SCHEMA)


def test_columns_of_an_earlier_version_have_the_names_of_this_one(tmp_path: Path) -> None:
    schema = replace(SCHEMA, features=("shape",))
    write_tables(tmp_path, SEGMENTS, ROWS, [described(1, 2, 3, schema=schema)], schema)
    (path,) = tmp_path.glob("*.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    names = ["shape.size", "shape.elongation", "shape.ellipticity"]
    assert arrays["names"].tolist() == names
    np.savez(path, **{**arrays, "names": np.array([*names[:2], "shape.solidity"])})
    assert open_table(tmp_path).names == tuple(names)


def test_columns_come_back_row_by_row(tmp_path: Path) -> None:
    written(tmp_path)
    table = open_table(tmp_path)
    assert (len(table), table.kind, table.features) == (3, "uint8: r, g, b, n", FEATURES)
    assert table.rows.tolist() == [2, 1, 3]
    assert table.area.tolist() == [6, 4, 8]
    whole = table.read(0, 3)
    assert isinstance(whole, Columns)
    assert whole.select(["sam.0", "sam.255", "mean.r"]).tolist() == [
        [2, 2, 1],
        [1, 1, 10],
        [3, 3, 9],
    ]
    np.testing.assert_array_equal(table.read(1, 2).values, whole.values[1:2])
    # Anyone can read them: it is an array of float32, and no pickle.
    array = np.load(tmp_path / "columns.npy", allow_pickle=False)
    assert (array.dtype, array.shape) == (np.float32, (3, len(table.names)))


def test_segments_come_back_as_they_were(tmp_path: Path) -> None:
    written(tmp_path)
    segments, attributes = read_segments(tmp_path)
    np.testing.assert_array_equal(segments.area, SEGMENTS.area)
    np.testing.assert_allclose(attributes.band_means, BAND_MEANS)
    np.testing.assert_allclose(attributes.band_stds, BAND_STDS, atol=1e-6)
    assert segments.valid_pixels == 20
    np.testing.assert_array_equal(attributes.predicted_iou, [0.5, np.nan, 0.5])
    np.testing.assert_array_equal(attributes.stability_score, [0.25, np.nan, 0.25])
    assert attributes.is_filled.tolist() == [False, True, False]


def test_a_scene_without_segments_has_empty_tables(tmp_path: Path) -> None:
    none = Segments(area=np.empty(0, np.int64), valid_pixels=0)
    write_tables(tmp_path, none, ROWS[:0], [], SCHEMA)
    table = open_table(tmp_path)
    assert len(table) == 0
    assert table.read(0, 0).values.shape == (0, 256 + 4 + 3)
    assert len(read_segments(tmp_path)[0]) == 0


def test_absent_and_damaged_tables_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"segments\.npz: .*run alps-geo label there again"):
        open_table(tmp_path)
    written(tmp_path)
    path = tmp_path / "segments.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match="cannot be read"):
        read_segments(tmp_path)


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield described(2)
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left"):
        write_tables(tmp_path, SEGMENTS, ROWS, broken(), SCHEMA)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
