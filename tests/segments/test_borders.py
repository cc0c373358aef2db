from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_stitch import assembled, scenes_and_grids

from alps_geo.grid import TileGrid
from alps_geo.segments.borders import Borders


def counted(labels: NDArray[np.integer]) -> dict[tuple[int, int], int]:
    """Count the shared sides of each pair of labels, pixel by pixel."""
    found: dict[tuple[int, int], int] = {}
    rows = [[int(label) for label in line] for line in labels]
    for row, line in enumerate(rows):
        below = rows[row + 1] if row + 1 < len(rows) else []
        for one, other in [*zip(line, below, strict=False), *pairwise(line)]:
            if one and other and one != other:
                pair = (min(one, other) - 1, max(one, other) - 1)
                found[pair] = found.get(pair, 0) + 1
    return found


def as_dict(borders: Borders) -> dict[tuple[int, int], int]:
    pairs = [(int(pair[0]), int(pair[1])) for pair in borders.pairs]
    assert pairs == sorted(set(pairs))
    return dict(zip(pairs, borders.sides.tolist(), strict=True))


def test_labels_touch_along_sides_not_corners_and_not_across_gaps() -> None:
    labels = np.array([[1, 1, 0, 4], [1, 2, 0, 4], [3, 2, 5, 5]], dtype=np.int32)
    borders = Borders.between(labels)
    assert borders.pairs.tolist() == [[0, 1], [0, 2], [1, 2], [1, 4], [3, 4]]
    assert borders.sides.tolist() == [2, 1, 1, 1, 1]
    assert Borders.between(labels[:1, :1]).pairs.shape == (0, 2)


@settings(max_examples=60, deadline=None)
@given(scenes_and_grids(), st.integers(0, 2**32 - 1))
def test_borders_of_a_scene_are_those_of_its_picture_whatever_the_grid(
    case: tuple[NDArray[np.int32], TileGrid], seed: int
) -> None:
    scene, grid = case
    # Segments that touch: the planted ones have gaps between them.
    bands = np.random.default_rng(seed).integers(0, 3, (scene.shape[0], 1))
    picture, found = assembled(grid, np.where(scene > 0, scene * 3 + bands, 0).astype(np.int32))
    assert as_dict(found.borders) == counted(picture)


def test_borders_of_specks_are_those_of_the_segment_that_they_join() -> None:
    scene = np.ones((20, 30), dtype=np.int32)
    scene[:, 15:] = 2
    scene[5:7, 14:16] = 3
    picture, found = assembled(TileGrid(20, 30, 16, 4), scene, 10, superpixel_size=16)
    assert len(found) == 2
    assert as_dict(found.borders) == counted(picture)


def test_segments_that_join_add_up_their_sides_and_none_has_no_border() -> None:
    borders = Borders.between(np.array([[1, 2, 3], [1, 4, 4]]))
    joined = borders.renamed(np.array([1, 0, 0, -1]))
    assert as_dict(joined) == {(0, 1): 1}
    assert as_dict(Borders.together([borders, borders])) == {
        pair: 2 * sides for pair, sides in as_dict(borders).items()
    }
