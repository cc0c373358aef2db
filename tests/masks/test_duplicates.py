"""Masks of several views that are the same object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alps_geo.masks.duplicates import DUPLICATE_IOU, without_duplicates
from alps_geo.masks.tile_masks import TileMasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 24


def packed(dense: NDArray[np.bool_], iou: list[float], stability: list[float]) -> TileMasks:
    """Store dense masks, each in its own box."""
    boxes, bits = [], []
    for mask in dense:
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = rows[0], cols[0], rows[-1] + 1, cols[-1] + 1
        boxes.append(box)
        bits.append(np.packbits(mask[box[0] : box[2], box[1] : box[3]]))
    return TileMasks.of((SIDE, SIDE), boxes, bits, iou, stability)


def dense(masks: TileMasks) -> NDArray[np.bool_]:
    """Draw masks over the whole window."""
    drawn = np.zeros((len(masks), *masks.shape), dtype=np.bool_)
    for index in range(len(masks)):
        drawn[index][masks.slices(index)] = masks.mask(index)
    return drawn


def rectangle(top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((SIDE, SIDE), dtype=np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask


RECTANGLES = st.builds(
    rectangle, st.integers(0, 12), st.integers(0, 12), st.integers(1, 12), st.integers(1, 12)
)
FOUND = st.lists(
    st.tuples(
        RECTANGLES,
        RECTANGLES,
        st.integers(0, 3),
        st.sampled_from([0.7, 0.8, 0.9]),
        st.sampled_from([0.8, 0.9]),
    ),
    min_size=1,
    max_size=12,
)


@given(FOUND)
def test_a_mask_is_dropped_if_a_better_one_of_another_view_is_kept(
    found: list[tuple[NDArray[np.bool_], NDArray[np.bool_], int, float, float]],
) -> None:
    """As a plain comparison of whole images has it, whatever the shapes."""
    drawn = np.array([first | second for first, second, *_ in found])
    views = np.array([view for _, _, view, _, _ in found])
    iou, stability = [each[3] for each in found], [each[4] for each in found]
    kept: list[int] = []
    order = sorted(range(len(found)), key=lambda i: (-iou[i], -stability[i], i))
    for index in order:
        shared = [(drawn[index] & drawn[each]).sum() for each in kept]
        union = [(drawn[index] | drawn[each]).sum() for each in kept]
        if not any(
            views[each] != views[index] and a / b > DUPLICATE_IOU
            for each, a, b in zip(kept, shared, union, strict=True)
        ):
            kept.append(index)
    masks = packed(drawn, iou, stability)
    result = without_duplicates(masks, views)
    assert result.tolist() == kept
    np.testing.assert_array_equal(dense(masks.take(result)), drawn[kept])


def test_no_masks_have_no_duplicates() -> None:
    none = TileMasks.of((SIDE, SIDE), [], [], [], [])
    assert len(without_duplicates(none, np.zeros(0, np.int64))) == 0


@given(st.lists(RECTANGLES, min_size=1, max_size=4), st.integers(0, 9), st.integers(0, 9))
def test_masks_keep_their_pixels_where_they_are_moved_and_collected(
    drawn: list[NDArray[np.bool_]], row: int, col: int
) -> None:
    masks = packed(np.array(drawn), [0.9] * len(drawn), [0.9] * len(drawn))
    moved = masks.within((SIDE + 10, SIDE + 10), (row, col))
    together = TileMasks.concatenate([moved, moved.take(np.arange(1))])
    expected = np.zeros((len(drawn) + 1, SIDE + 10, SIDE + 10), dtype=np.bool_)
    expected[:, row : row + SIDE, col : col + SIDE] = [*drawn, drawn[0]]
    np.testing.assert_array_equal(dense(together), expected)
    assert together.area.tolist() == expected.sum(axis=(1, 2)).tolist()
