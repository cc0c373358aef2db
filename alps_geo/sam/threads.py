"""Work on a CPU, side by side in as many threads as torch has."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Sized

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST_THREADS = 8


def side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Work on items in as many threads as torch uses, and keep their order.

    Decoding and encoding by strips are many small products. Threads that share one such product
    mostly wait for each other; a batch or strip for each thread keeps all of them busy.
    """
    threads, count = torch.get_num_threads(), workers_for(items)
    if count == 1:
        return [work(item) for item in items]
    # Each thread is in a mode of its own.
    is_inference = torch.is_inference_mode_enabled()

    def work_alike(item: _Item) -> _Result:
        with torch.inference_mode(is_inference):
            return work(item)

    pool = _pool(count, threads // count, os.getpid())
    results = [pool.submit(work_alike, item) for item in items]
    try:
        return [result.result() for result in results]
    finally:
        # After an error no work goes on unseen by the caller.
        for result in results:
            result.cancel()
        wait(results)
        # Each thread has its own number, but the last one set is what later threads begin with.
        torch.set_num_threads(threads)


@cache
def _pool(count: int, each: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001
    """Keep the threads of a process: new ones for each call would first have to get memory."""
    return ThreadPoolExecutor(count, "sam", torch.set_num_threads, (each,))


def workers_for(items: Sized) -> int:
    """Choose the number of threads to share items among."""
    return max(1, min(torch.get_num_threads(), _MOST_THREADS, len(items)))
