"""Points at once, threads, and the handling of a lack of memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from alps_geo.errors import ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Sized

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

POINTS_ON_CPU = 4
"""Few points at once, so that what they work on stays in a processor's caches."""

_AT_MOST = 1024
_WITHOUT_CUDA = 64
_MOST_THREADS = 8

_MOST_IMAGES = 8

_BYTES_PER_IMAGE = 4 * 2**30
"""What an encoder holds for an image on a GPU at most: vit_h's attention over all of it."""

_NUMBERS_OF_TOKENS = 3_000_000
"""Numbers that a point holds in the transformer on a GPU at most."""

_NUMBERS_OF_PIXELS = 12_000_000
"""Numbers that a point holds on a GPU at most: while its 65536 pixels have 32 channels each."""

_NUMBERS_KEPT = 700_000
"""Numbers that are kept of a point meanwhile: image tokens' weights, and logits of three masks."""


def wants_large_batches(tensor: torch.Tensor) -> bool:
    """Tell where few large operations are best, on a GPU, from where many that fit a cache are."""
    return tensor.device.type != "cpu"


@dataclass(frozen=True)
class AtOnce:
    """Points that a GPU takes at once.

    Attributes
    ----------
    tokens : int
        Through the transformer.
    pixels : int
        Through upscaling.
    kept : int
        In a round, of which it keeps what comes between the two.
    """

    tokens: int
    pixels: int
    kept: int

    @classmethod
    def on(cls, device: str, itemsize: int, asked: int | None) -> AtOnce:
        """Take so many, or as many as half of the memory holds; a quarter more for those kept.

        Parameters
        ----------
        device : str
            The model's, as torch names it.
        itemsize : int
            Bytes of a number in the model's precision.
        asked : int or None
            Points at once that the user asks for.
        """
        if device != "cuda":
            return cls(asked or _WITHOUT_CUDA, asked or _WITHOUT_CUDA, _AT_MOST)
        free = _free_memory()
        tokens, pixels = (
            min(_AT_MOST, max(1, free // 2 // (numbers * itemsize)))
            for numbers in (_NUMBERS_OF_TOKENS, _NUMBERS_OF_PIXELS)
        )
        kept = max(1, free // 4 // (_NUMBERS_KEPT * torch.float32.itemsize))
        return cls(asked or tokens, asked or pixels, kept)


def _free_memory() -> int:
    """Count the bytes of a GPU that are free, or that torch keeps at hand."""
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


def images_at_once(device: str) -> int:
    """Choose the images to encode at once: one, and on a GPU as many as half of it holds.

    On a CPU several images take as long together as one by one.
    """
    if device != "cuda":
        return 1
    return min(_MOST_IMAGES, max(1, _free_memory() // 2 // _BYTES_PER_IMAGE))


def in_halves(
    work: Callable[[Any], _Result], items: Any, *, model: str, kind: str
) -> list[_Result]:
    """Work on items together; when memory runs out, on one half and then on the other.

    Parameters
    ----------
    work : callable
        Takes some or all of the items.
    items : array, tensor, list or range
        At least one.
    model, kind : str
        Who runs out of memory, and with what, for the error: "vit_h on cuda", "image".

    Raises
    ------
    ModelMemoryError
        If it runs out with a single item.
    """
    try:
        with memory_errors():
            return [work(items)]
    except MemoryError as error:
        if len(items) == 1:
            raise ModelMemoryError(
                f"{model} runs out of memory with a single {kind}; "
                "expected room for one: free memory, or use a smaller model"
            ) from error
    # Only here, outside the handler, is the failed attempt's memory free again.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(items) // 2
    halves = items[:middle], items[middle:]
    return [result for half in halves for result in in_halves(work, half, model=model, kind=kind)]


def side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Work on items in as many threads as torch uses, and keep their order.

    Decoding is many small products, and so is encoding by strips. Split each over threads, and they
    wait for each other more than they work; one batch or strip for each thread keeps all of them
    busy.
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
        # After an error nothing goes on behind the caller's back.
        for result in results:
            result.cancel()
        wait(results)
        # Each thread has its own number, but the last one set is what later threads begin with.
        torch.set_num_threads(threads)


@cache
def _pool(count: int, each: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001
    """Give a process its threads; new ones for each call would begin without memory at hand."""
    return ThreadPoolExecutor(count, "sam", torch.set_num_threads, (each,))


def workers_for(items: Sized) -> int:
    """Choose how many threads to work on items with."""
    return max(1, min(torch.get_num_threads(), _MOST_THREADS, len(items)))


@contextmanager
def memory_errors() -> Iterator[None]:
    """Give torch's lack of memory a type: a context, or a decorator.

    Raises
    ------
    ModelMemoryError
        In place of a `RuntimeError` of torch that is a lack of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or _is_failed_allocation(error)):
            raise
        raise ModelMemoryError(" ".join(str(error).split())) from error


def _is_failed_allocation(error: RuntimeError) -> bool:
    """Tell by the wording: allocators of CPUs, of MPS and of CUDA's libraries have no type."""
    signs = "can't allocate memory", "not enough memory", "out of memory", "_STATUS_ALLOC_FAILED"
    return any(sign in str(error) for sign in signs)
