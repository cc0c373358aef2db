import numpy as np
import pytest

from alps_geo.segments.borders import Borders
from alps_geo.segments.neighbours import neighbour_shares

LINE = Borders.between(np.array([[1, 1, 2, 3], [1, 1, 2, 3]]))


def test_shares_add_up_and_follow_border_likeness_and_size() -> None:
    borders = Borders(np.array([[0, 1], [0, 2], [0, 3]]), np.array([10, 5, 10]))
    rows = np.array([[0.0], [1.0], [1.0], [3.0]])
    shares = neighbour_shares(rows, np.ones(4), borders, 0.3).toarray()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares[0, 0] == pytest.approx(0.7)
    assert shares[0, 1] == pytest.approx(2 * shares[0, 2])
    # The median of the squared distances is 1.
    assert shares[0, 3] == pytest.approx(shares[0, 1] * np.exp(-9) / np.exp(-1))
    assert shares[1].tolist() == pytest.approx([0.3, 0.7, 0, 0])
    large = neighbour_shares(rows, np.array([9.0, 1, 1, 1]), borders, 0.3).toarray()
    assert large[0, 0] == pytest.approx(0.9)
    assert large[1, 1] == pytest.approx(0.7)


def test_even_areas_and_lonely_segments_have_shares_too() -> None:
    even = neighbour_shares(np.ones((3, 2)), np.ones(3), LINE, 0.5).toarray()
    assert even.tolist() == [[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 0.5, 0.5]]
    alone = neighbour_shares(np.ones((2, 2)), np.ones(2), Borders.none(), 0.5).toarray()
    assert alone.tolist() == [[1, 0], [0, 1]]
    unlike = Borders(np.array([[0, 1], [2, 3], [3, 4]]), np.ones(3, int))
    rows = np.array([[0.0], [1e4], [0], [1], [0]])
    far = neighbour_shares(rows, np.ones(5), unlike, 0.5).toarray()
    assert far[0].tolist() == [1, 0, 0, 0, 0]
