"""How many points at once, on how many threads, and what to make of a lack of memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.sam.model import SamModel

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_ON_CPU = 4
"""Few points at once, so that what they work on stays in a processor's caches."""

_AT_MOST = 1024
_MOST_THREADS = 8

_NUMBERS_PER_POINT = 12_000_000
"""Numbers that a point holds on a GPU at most: while its 65536 pixels have 32 channels each."""


def wants_large_batches(tensor: torch.Tensor) -> bool:
    """Tell where few large operations are best, on a GPU, from where many that fit a cache are."""
    return tensor.device.type != "cpu"


def points_at_once(model: SamModel) -> int:
    """Choose how many points to decode at once: few on a CPU, on a GPU what half of it can hold."""
    if model.device == "cpu":
        return _ON_CPU
    if model.device == "mps":
        return 64
    free, _ = torch.cuda.mem_get_info()
    points = free // 2 // (_NUMBERS_PER_POINT * model.torch_dtype.itemsize)
    return int(min(_AT_MOST, max(1, points)))


def side_by_side(
    work: Callable[[_Item], _Result], items: Sequence[_Item], workers: int | None = None
) -> list[_Result]:
    """Work on items in several threads, by default as many as torch uses, and keep their order.

    Decoding is many small products. Split each over threads, and they wait for each other more than
    they work; one batch of points for each thread keeps all of them busy.
    """
    threads = torch.get_num_threads()
    workers = workers or max(1, min(threads, _MOST_THREADS, len(items)))
    if workers == 1:
        return [work(item) for item in items]
    try:
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(threads // workers,)
        ) as pool:
            return list(pool.map(work, items))
    finally:
        # Each thread has its own number, but the last one set is what later threads begin with.
        torch.set_num_threads(threads)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory, on a CPU a mere `RuntimeError` of torch, from other errors."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    signs = "can't allocate memory", "not enough memory", "out of memory"
    return any(sign in str(error) for sign in signs)
