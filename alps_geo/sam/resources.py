"""How many points at once, on how many threads, and what to make of a lack of memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from alps_geo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.sam.model import SamModel

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_ON_CPU = 4
"""Few points at once, so that what they work on stays in a processor's caches."""

_AT_MOST = 1024
_MOST_THREADS = 8

_MOST_IMAGES = 8

_BYTES_PER_IMAGE = 4 * 2**30
"""What an encoder holds for an image on a GPU at most: vit_h's attention over all of it."""

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


def images_at_once(model: SamModel) -> int:
    """Choose how many images to encode at once: one but on a GPU, there what half of it can hold.

    On a CPU several images take as long together as one by one.
    """
    if model.device != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info()
    return int(min(_MOST_IMAGES, max(1, free // 2 // _BYTES_PER_IMAGE)))


def in_halves(
    work: Callable[[Any], _Result], items: Any, *, model: str, kind: str
) -> list[_Result]:
    """Work on items together; when memory runs out, on one half and then on the other.

    Parameters
    ----------
    work : callable
        Takes some or all of the items.
    items : array or list
        At least one.
    model, kind : str
        Who runs out of memory, and with what, for the error: "vit_h on cuda", "image".

    Raises
    ------
    ModelError
        If it runs out with a single item.
    """
    try:
        return [work(items)]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            raise ModelError(
                f"{model} runs out of memory with a single {kind}; "
                "expected room for one: free memory, or use a smaller model"
            ) from error
    # Only here, outside the handler, is the failed attempt's memory free again.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    halves = items[:middle], items[middle:]
    return [result for half in halves for result in in_halves(work, half, model=model, kind=kind)]


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
