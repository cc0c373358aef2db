"""Run lengths are those of pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from alps_geo.outputs.training_set.rle import run_lengths

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)


@given(arrays(np.uint32, SHAPES, elements=st.sampled_from([0, 1, 2, 7, 2**32 - 1])))
def test_segments_are_encoded_as_pycocotools_does(ids: np.ndarray) -> None:
    found = run_lengths(ids)
    assert found.ids.tolist() == [each for each in np.unique(ids).tolist() if each]
    for i, segment in enumerate(found.ids):
        expected = coco.encode(np.asfortranarray(ids == segment).astype(np.uint8))
        assert found.counts[i] == expected["counts"].decode()
        assert found.area[i] == coco.area(expected)
        assert found.boxes[i].tolist() == coco.toBbox(expected).tolist()


# pycocotools speaks to numpy as before version 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_long_runs_take_several_characters() -> None:
    ids = np.zeros((3000, 3000), np.uint32)
    ids[1000:2900, 20:2700] = 5
    (counts,) = run_lengths(ids).counts
    decoded = coco.decode({"size": [3000, 3000], "counts": counts})
    np.testing.assert_array_equal(decoded, ids == 5)
