"""The number of threads of numeric libraries."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Limit BLAS and OpenMP to one thread, as a context.

    Threads add up in the order in which they finish. With one thread, the same run gives the same
    bits, and so do rows that are read together with others.
    """
    limits: AbstractContextManager[object] = _controller(len(sys.modules)).limit(limits=1)
    return limits


@lru_cache(maxsize=1)
def _controller(_modules: int) -> ThreadpoolController:
    """Find the libraries, again only when modules have been imported, which may bring more.

    The search takes milliseconds: with thousands of small scenes, longer than their clusters.
    """
    return ThreadpoolController()
