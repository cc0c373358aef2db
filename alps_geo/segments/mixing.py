"""Mixing of the columns of segments: each gets a share of those of others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_array, csr_array

from alps_geo.features.columns import batch_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.features.mapping import Mapper


def mixed_rows(
    columns: Path, factors: Sequence[csr_array], position: NDArray[np.int64], mapper: Mapper
) -> Generator[NDArray[np.float32], None, None]:
    """Mix the rows of a file of columns, some at a time.

    Parameters
    ----------
    columns : pathlib.Path
        An array (n, C) of float32, as numpy stores it.
    factors : sequence of csr_array, shapes (m, n), (n, n), ...
        Row i of their product holds the shares of the n segments in row i of the m new ones. It is
        made some rows at a time, for it is much larger than they are.
    position : ndarray of int64, shape (n,)
        Row of the file of each segment.
    mapper : Mapper
        Maps the mixing of some rows.

    Returns
    -------
    generator of ndarray of float32, shape (k, C)
        The new rows, in their order.
    """
    batches = batch_rows(factors[0].shape[0])
    mixes = (_Mix.of(factors, rows, position) for rows in batches)
    return mapper.map(partial(_mixing, columns), mixes)


@dataclass(frozen=True)
class _Mix:
    """Shares of some rows of a file in new ones.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        The rows that have shares.
    shares : csc_array, shape (k, n)
        Their shares in k new rows.
    """

    rows: NDArray[np.int64]
    shares: csc_array

    @classmethod
    def of(
        cls, factors: Sequence[csr_array], rows: tuple[int, int], position: NDArray[np.int64]
    ) -> _Mix:
        """Multiply the factors of some rows."""
        product = factors[0][slice(*rows)]
        for factor in factors[1:]:
            product = product @ factor
        needed, index = np.unique(product.indices, return_inverse=True)
        shape = product.shape[0], len(needed)
        compact = csr_array((product.data, index, product.indptr), shape=shape)
        return cls(position[needed], compact.tocsc())


def _mixing(columns: Path) -> Callable[[_Mix], NDArray[np.float32]]:
    """Return the function that mixes the rows of a file of columns."""

    def mixed(mix: _Mix) -> NDArray[np.float32]:
        values = np.load(columns, mmap_mode="r", allow_pickle=False)
        total = np.zeros((mix.shares.shape[0], values.shape[1]))
        # Those of one segment may be made of more than memory should hold.
        for rows in starmap(slice, batch_rows(len(mix.rows))):
            total += mix.shares[:, rows] @ values[mix.rows[rows]].astype(np.float64)
        return total.astype(np.float32)

    return mixed
