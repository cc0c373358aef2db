"""Classifiers of segments: those of scikit-learn, fitted to samples."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from alps_geo.classes.names import CLASSIFIERS
from alps_geo.clusters.threads import one_thread
from alps_geo.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

TREES = 300
"""Trees of a forest."""

_ITERATIONS = 2000


@contextmanager
def many_classes() -> Iterator[None]:
    """Accept as many classes as half of the samples, of which scikit-learn warns each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The number of unique classes is greater than 50%", UserWarning
        )
        yield


class Estimator(Protocol):
    """A classifier of scikit-learn that gives probabilities."""

    classes_: NDArray[np.int64]

    def fit(self, rows: NDArray[np.float64], classes: NDArray[np.int64]) -> Estimator:
        """Fit it to samples."""
        ...

    def predict_proba(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give each row the probability of each of `classes_`."""
        ...


@dataclass(frozen=True)
class Method:
    """A kind of classifier, and how it is fitted.

    Attributes
    ----------
    classifier : str
        One of `alps_geo.classes.names.CLASSIFIERS`.
    seed : int
        Of its random numbers.
    balanced : bool
        True if all classes weigh the same, whatever the number of their samples.

    Raises
    ------
    SettingsError
        If there is no such classifier.
    """

    classifier: str = CLASSIFIERS[0]
    seed: int = 0
    balanced: bool = True

    def __post_init__(self) -> None:
        if self.classifier not in _MAKERS:
            raise SettingsError(
                f"classifier is {self.classifier!r}, expected one of {', '.join(CLASSIFIERS)}"
            )

    def fitted(self, rows: NDArray[np.float64], classes: NDArray[np.int64]) -> Fitted:
        """Fit a classifier to samples.

        Parameters
        ----------
        rows : ndarray of float64, shape (m, P)
            Projected columns of the samples.
        classes : ndarray of int64, shape (m,)
            Index of the class of each.
        """
        estimator = _MAKERS[self.classifier](self)
        with one_thread(), many_classes():
            return Fitted(estimator.fit(rows, classes))


@dataclass(frozen=True)
class Fitted:
    """A classifier that was fitted to samples.

    Attributes
    ----------
    estimator : Estimator
        That of scikit-learn.
    """

    estimator: Estimator

    def probability(self, rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Give rows the probability of each of `count` classes, 0 for those without a sample."""
        found = np.zeros((len(rows), count))
        if len(rows):
            with one_thread():
                found[:, self.estimator.classes_] = self.estimator.predict_proba(rows)
        return found


def _weight(method: Method) -> str | None:
    return "balanced" if method.balanced else None


_MAKERS: dict[str, Callable[[Method], Estimator]] = {
    "extra-trees": lambda method: ExtraTreesClassifier(
        TREES, class_weight=_weight(method), random_state=method.seed
    ),
    "random-forest": lambda method: RandomForestClassifier(
        TREES, class_weight=_weight(method), random_state=method.seed
    ),
    "logistic": lambda method: LogisticRegression(
        max_iter=_ITERATIONS, class_weight=_weight(method), random_state=method.seed
    ),
}
