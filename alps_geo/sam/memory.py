"""Sizes of batches that memory holds, and recovery where it does not suffice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from alps_geo.errors import ModelMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Result = TypeVar("_Result")

POINTS_ON_CPU = 4
"""Points in a batch on a CPU: few, so that their arrays stay in a processor's caches."""

_AT_MOST = 1024
_WITHOUT_CUDA = 64
_MOST_IMAGES = 8

_BYTES_PER_IMAGE = 4 * 2**30
"""Upper limit of an encoder's memory for an image on a GPU: global attention of vit_h."""

_NUMBERS_OF_TOKENS = 3_000_000
"""Upper limit of the numbers that a point holds in the transformer on a GPU."""

_NUMBERS_OF_PIXELS = 12_000_000
"""Upper limit for a point on a GPU in upscaling: its 65536 pixels have 32 channels each."""

_NUMBERS_KEPT = 700_000
"""Numbers kept of a point in a round: weights of image tokens, and logits of three masks."""


def wants_large_batches(tensor: torch.Tensor) -> bool:
    """Return True on a GPU, where few large operations are best; a CPU likes many in its cache."""
    return tensor.device.type != "cpu"


@dataclass(frozen=True)
class AtOnce:
    """Sizes of a GPU's batches, in points.

    Attributes
    ----------
    tokens : int
        Through the transformer.
    pixels : int
        Through upscaling.
    kept : int
        In a round, which keeps the results of the transformer until they are upscaled.
    """

    tokens: int
    pixels: int
    kept: int

    @classmethod
    def on(cls, device: str, itemsize: int, asked: int | None) -> AtOnce:
        """Size batches as asked, or to half of the free memory; a round to a quarter more.

        Parameters
        ----------
        device : str
            The model's, as torch names it.
        itemsize : int
            Bytes of a number in the model's precision.
        asked : int or None
            Points in a batch that the user asks for.
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
    """Count the bytes of a GPU that are free, those that torch has reserved included."""
    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


def images_at_once(device: str) -> int:
    """Choose how many images to encode together: one, or as many as half of a GPU holds.

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
        Model and item that the error names: "vit_h on cuda", "image".

    Raises
    ------
    ModelMemoryError
        If memory does not suffice for a single item.
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


NO_ROOM = "; expected room for the model: end other programs, or use fewer --workers"
"""Remedy where a model cannot be loaded."""


@contextmanager
def memory_errors(remedy: str = "") -> Iterator[None]:
    """Raise ModelMemoryError where torch runs out of memory: a context, or a decorator.

    Parameters
    ----------
    remedy : str
        Words to add to the reason, where no one else adds any.

    Raises
    ------
    ModelMemoryError
        In place of a `RuntimeError` by which torch reports a lack of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or _is_failed_allocation(error)):
            raise
        # Later lines are about debugging.
        reason = str(error).strip().partition("\n")[0]
        raise ModelMemoryError(f"{reason}{remedy}") from error


def _is_failed_allocation(error: RuntimeError) -> bool:
    """Recognise the wording: allocators of CPUs, of MPS and of CUDA's libraries have no type."""
    signs = "can't allocate memory", "not enough memory", "out of memory", "_STATUS_ALLOC_FAILED"
    return any(sign in str(error) for sign in signs)
