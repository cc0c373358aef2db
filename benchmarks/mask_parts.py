"""The mask engine's arithmetic and bytes, counted, and the rate at which a device multiplies."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode

from alps_geo.sam import device_pixels
from alps_geo.sam.frame import Frame
from alps_geo.sam.model import load_model
from alps_geo.sam.pixels import Enlarger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "addmm": 1, "baddbmm": 1, "baddbmm_": 1, "addmv_": 1}
"""Matrix products by name, and which argument is their first factor."""

_ATTENTION = "_scaled_dot_product_"
"""Prefix of the names of all fused attentions."""


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the arithmetic of matrix products, and the bytes that operators read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if torch.is_inference_mode_enabled() and name not in _PRODUCTS:
            # In inference mode operators that are made up of others come as a whole.
            with self:
                result = func.decompose(*args, **(kwargs or {}))
            if result is not NotImplemented:
                return result
        result = func(*args, **(kwargs or {}))
        if not func.is_view and isinstance(result, torch.Tensor):
            touched = [*(a for a in args if isinstance(a, torch.Tensor)), result]
            self.counts["bytes"] += sum(t.numel() * t.element_size() for t in touched)
        self.counts["flop"] += _flop(name, args, result)
        return result


def _flop(name: str, args: tuple[Any, ...], result: Any) -> int:
    """Count a product's multiplications and additions."""
    if name in _PRODUCTS:
        return int(2 * result.numel() * args[_PRODUCTS[name]].shape[-1])
    if name == "convolution":
        return int(2 * result.numel() * args[1][0].numel())
    if name.startswith(_ATTENTION):
        query, key = args[:2]
        return int(4 * query.numel() * key.shape[-2])
    return 0


def matrix_rate(dtype: str, device: str) -> float:
    """Measure floating-point operations a second of a large matrix product."""
    side = 8192 if device == "cuda" else 2048
    a, b = (torch.rand(side, side, device=device).to(_DTYPES[dtype]) for _ in range(2))
    return 2 * side**3 / _median_seconds(lambda: a @ b, device)


def show_parts(
    name: str, checkpoint: Path | None, device: str, dtypes: list[str], image: NDArray[np.uint8]
) -> None:
    """Count and time each part of the decoder, for one point; on a CPU on one thread."""
    torch.set_num_threads(1)
    count = 256 if device == "cuda" else 4
    table = Table(title=f"for each point, batches of {count}")
    for header in ("", "part", "MFLOP", "MB touched", "ms", "GFLOP/s", "of matrix rate"):
        table.add_column(header, justify="left" if header in ("", "part") else "right")
    from sam_reference import load_reference

    network = load_reference(name, checkpoint).to(device)
    for dtype in dtypes:
        model = load_model(name, checkpoint, device, dtype)
        rate = matrix_rate(dtype, device)
        for part, call in _parts(model, image, count):
            _add_part(table, dtype, part, call, rate, count, device)
        if dtype == "float32":
            call = _reference_decoder(network, model.encode(image), count)
            _add_part(table, "segment_anything", "decoder", call, rate, count, device)
    Console(width=110).print(table)


def _parts(
    model: Any, image: NDArray[np.uint8], count: int
) -> Iterator[tuple[str, Callable[[], Any]]]:
    decoder = model.decoder
    with torch.no_grad():
        keys = decoder.prepare(model.encode(image).clone())
        points = torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * 1000
        points = points.to(model.device)
        prompts = decoder.prompt(keys, points)
        one_each = torch.arange(0, 3 * count, 3, device=model.device)
        logits = decoder.logits(keys, prompts, one_each)
        yield "transformer", lambda: decoder.prompt(keys, points)
        yield "predicted IoU", lambda: decoder.predicted_iou(keys, prompts)
        yield "pixels of one mask", lambda: decoder.logits(keys, prompts, one_each)
        frame = Frame(image.shape[0], image.shape[1])
        if model.device == "cpu":
            enlarger = Enlarger(frame)
            yield "stability of one mask", lambda: enlarger.stability(logits, 1.0)
        else:
            yield "stability and box", lambda: device_pixels.measured(logits, frame, 1.0)


def _reference_decoder(network: Any, embedding: torch.Tensor, count: int) -> Callable[[], Any]:
    points = torch.rand(count, 1, 2, device=embedding.device) * 1000
    labels = torch.ones(count, 1, dtype=torch.int, device=embedding.device)
    embedding = embedding.clone()

    def decode() -> Any:
        sparse, dense = network.prompt_encoder(points=(points, labels), boxes=None, masks=None)
        position = network.prompt_encoder.get_dense_pe()
        return network.mask_decoder(embedding, position, sparse, dense, multimask_output=True)

    return decode


def _add_part(
    table: Table,
    name: str,
    part: str,
    call: Callable[[], Any],
    rate: float,
    count: int,
    device: str,
) -> None:
    with torch.no_grad():
        with Counting() as counting:
            call()
        seconds = _median_seconds(call, device) / count
    flop = counting.counts["flop"] / count
    table.add_row(
        name,
        part,
        f"{flop / 1e6:.0f}",
        f"{counting.counts['bytes'] / count / 1e6:.0f}",
        f"{seconds * 1e3:.3g}",
        f"{flop / seconds / 1e9:.0f}",
        f"{flop / seconds / rate:.0%}",
    )


def _median_seconds(call: Callable[[], Any], device: str, repeats: int = 9) -> float:
    call()
    seconds = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        call()
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def synchronise(device: str) -> None:
    """Wait until a GPU has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
