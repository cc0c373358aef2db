"""Overrides: clusters that a person gave segments of a scene, in place of those of the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alps_geo.clusters.tree import Assigned

NONE = 0
"""Stands in for the cluster of a segment without an override; no cluster has this id."""


def overridden_rows(ids: NDArray[np.integer], overrides: Mapping[int, int]) -> NDArray[np.int64]:
    """Return the overriding cluster of each row, `NONE` where there is none.

    Parameters
    ----------
    ids : ndarray of int, shape (n,)
        Segment id of each row: 1..n in any order.
    overrides : mapping of int to int
        Cluster by segment id.
    """
    by_id = np.zeros(len(ids) + 1, dtype=np.int64)
    by_id[list(overrides)] = list(overrides.values())
    return by_id[ids.astype(np.int64)]


def override(
    assigned: Assigned, ids: NDArray[np.integer], overrides: Mapping[int, int]
) -> Assigned:
    """Give segments the clusters of their overrides.

    A person is sure: the confidence of such a segment is 1. Its distance to a centre of the cluster
    is infinite, for the model doesn't put it there.

    Parameters
    ----------
    assigned : Assigned
        Clusters that the model gives n segments.
    ids, overrides
        As for `overridden_rows`.
    """
    if not overrides:
        return assigned
    given = overridden_rows(ids, overrides)
    taken = given != NONE
    return replace(
        assigned,
        cluster=np.where(taken, given, assigned.cluster),
        confidence=np.where(taken, np.float32(1), assigned.confidence),
        distance=np.where(taken, np.float32(np.inf), assigned.distance),
    )
