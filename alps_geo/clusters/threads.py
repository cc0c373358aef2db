"""The number of threads of numeric libraries."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> threadpool_limits:
    """Limit BLAS and OpenMP to one thread, as a context.

    Threads add up in the order in which they finish. With one thread, the same run gives the same
    bits, and so do rows that are read together with others.
    """
    return threadpool_limits(limits=1)
