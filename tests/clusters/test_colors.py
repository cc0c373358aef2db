import colorcet
import numpy as np
from scipy.spatial import KDTree
from skimage.color import rgb2lab

from alps_geo.clusters.colors import default_colors
from alps_geo.clusters.limits import MAX_CLUSTERS


def test_colours_differ_and_never_run_out() -> None:
    colors = default_colors(MAX_CLUSTERS)
    assert colors.shape == (MAX_CLUSTERS, 3)
    assert len(np.unique(colors, axis=0)) == MAX_CLUSTERS
    for count in (1, 10, 256, 257, 1000):
        np.testing.assert_array_equal(default_colors(count), colors[:count])


def test_colours_up_to_256_are_the_palette_of_glasbey() -> None:
    glasbey = np.rint(255 * np.array(colorcet.glasbey_category10)).astype(np.uint8)
    np.testing.assert_array_equal(default_colors(256), glasbey)


def test_some_hundred_colours_differ_to_the_eye() -> None:
    lab = rgb2lab(default_colors(600)[None])[0]
    nearest, _ = KDTree(lab).query(lab, k=2)
    # 2.3 is a just noticeable difference in CIELAB.
    assert nearest[:, 1].min() > 2 * 2.3
