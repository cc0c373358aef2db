"""Accuracy of a classifier on its own samples, left out by blocks of the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from alps_geo.classes.classifier import many_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alps_geo.classes.classifier import Method

FOLDS = 5
"""Parts into which the samples are cut, at most."""

BLOCKS = 8
"""Blocks along the longer side of a scene: samples of one block are left out together."""


@dataclass(frozen=True)
class SampleAccuracy:
    """Share of samples that get their class when they are left out.

    Attributes
    ----------
    mean, spread : float
        Mean and standard deviation of the accuracy over the folds; of each fold all classes weigh
        the same.
    folds : int
        Number of folds.
    blocks : int
        Number of blocks with samples.
    """

    mean: float
    spread: float
    folds: int
    blocks: int


def cross_validate(
    method: Method,
    rows: NDArray[np.float64],
    classes: NDArray[np.int64],
    blocks: NDArray[np.int64],
) -> SampleAccuracy | None:
    """Measure the accuracy of a classifier on samples that lie elsewhere than those it has seen.

    Samples near each other are alike; leaving out one at a time would flatter the classifier
    (Roberts et al. 2017, doi 10.1111/ecog.02881).

    Parameters
    ----------
    method : Method
        The classifier.
    rows : ndarray of float64, shape (m, P)
        Projected columns of the samples.
    classes : ndarray of int64, shape (m,)
        Index of the class of each.
    blocks : ndarray of int64, shape (m,)
        Block in which each lies.

    Returns
    -------
    SampleAccuracy or None
        None if there are too few samples or blocks: two of a class, or two blocks.
    """
    count = len(np.unique(blocks))
    folds = min(FOLDS, int(np.unique(classes, return_counts=True)[1].min()), count)
    if folds < 2:
        return None
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=method.seed)
    found = []
    with many_classes():
        parts = list(splitter.split(rows, classes, blocks))
    for train, test in parts:
        if not len(test) or len(np.unique(classes[train])) < 2:
            continue
        fitted = method.fitted(rows[train], classes[train])
        guess = fitted.probability(rows[test], int(classes.max()) + 1).argmax(axis=1)
        right = guess == classes[test]
        recalls = [right[classes[test] == each].mean() for each in np.unique(classes[test])]
        found.append(float(np.mean(recalls)))
    if len(found) < 2:
        return None
    return SampleAccuracy(float(np.mean(found)), float(np.std(found)), len(found), count)


def block_of(middles: NDArray[np.float64], shape: tuple[int, int], scene: int) -> NDArray[np.int64]:
    """Return the numbers of the blocks of a scene in which points lie.

    Parameters
    ----------
    middles : ndarray of float64, shape (m, 2)
        (row, col) of each.
    shape : tuple of int
        (height, width) of the scene.
    scene : int
        Number of the scene: no block has points of two scenes.
    """
    side = max(1.0, max(shape) / BLOCKS)
    row, col = np.minimum(middles // side, BLOCKS - 1).astype(np.int64).T
    return np.asarray((scene * BLOCKS + row) * BLOCKS + col)
