"""Contestants of the mask benchmark: segment_anything's generator and ours, stage by stage."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from dense_masks import unpacked
from mask_parts import synchronise
from numpy.typing import NDArray

from alps_geo.masks.sam1 import tile_masks
from alps_geo.sam import device_pixels
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.generate import generate_masks
from alps_geo.sam.model import load_model
from alps_geo.sam.pixels import Enlarger
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from alps_geo.masks.tile_masks import TileMasks

REFERENCE = "segment_anything"

Masks: TypeAlias = NDArray[np.bool_]
"""Masks of one image, (N, H, W)."""


class Stopwatch:
    """Adds up the time spent in some functions, over all threads.

    On a GPU, the time from when it begins with a call's work until it is done, without making it
    wait for anybody who looks at a clock.
    """

    def __init__(self, device: str) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._events: list[tuple[str, Any, Any]] = []
        self._device = device
        self._lock = threading.Lock()

    @contextmanager
    def on(self, owner: Any, *names: str, stage: str) -> Iterator[None]:
        """Time calls of `owner`'s functions while inside."""
        before = {name: getattr(owner, name) for name in names}
        for name, function in before.items():
            setattr(owner, name, self._timed(function, stage))
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self._seconds[stage] += time.perf_counter() - start

        def timed_on_gpu(*args: Any, **kwargs: Any) -> Any:
            event: Any = torch.cuda.Event
            start, end = event(enable_timing=True), event(enable_timing=True)
            start.record()
            try:
                return function(*args, **kwargs)
            finally:
                end.record()
                self._events.append((stage, start, end))

        return timed_on_gpu if self._device == "cuda" else timed

    def now(self) -> float:
        """Give the time in seconds, once the device has done all it was given."""
        synchronise(self._device)
        return time.perf_counter()

    def seconds(self) -> dict[str, float]:
        """Add up, once the device has done all it was given."""
        synchronise(self._device)
        sums = self._seconds.copy()
        for stage, start, end in self._events:
            sums[stage] += start.elapsed_time(end) / 1000
        return sums


def contestant(
    name: str, options: argparse.Namespace, images: list[NDArray[np.uint8]]
) -> Callable[[], tuple[list[Masks], dict[str, float]]]:
    """Load a contestant; calling the result runs it.

    It gives the masks of each image, and the seconds that each stage takes for an image.
    """
    if name == REFERENCE:
        # Imported here, so that our own memory isn't measured with its libraries.
        from sam_reference import load_reference
        from segment_anything import SamAutomaticMaskGenerator

        network = load_reference(options.model, options.checkpoint)
        generator = SamAutomaticMaskGenerator(network.to(options.device), **thresholds(options))
        return lambda: run_reference(generator, images, options.device)
    model = load_model(options.model, options.checkpoint, options.device, dtype=name)
    return lambda: run_ours(model, images, MaskSettings(**thresholds(options)))


def thresholds(options: argparse.Namespace) -> dict[str, Any]:
    names = "points_per_side", "pred_iou_thresh", "stability_score_thresh"
    return {name: getattr(options, name) for name in names}


def run_reference(
    generator: Any, images: list[NDArray[np.uint8]], device: str
) -> tuple[list[Masks], dict[str, float]]:
    watch = Stopwatch(device)
    network = generator.predictor.model
    start = watch.now()
    with (
        watch.on(network.image_encoder, "forward", stage="encoder"),
        watch.on(network.mask_decoder, "forward", stage="decoder"),
    ):
        found = [generator.generate(image) for image in images]
    total = watch.now() - start
    masks = [
        np.array([record["segmentation"] for record in records], dtype=np.bool_).reshape(
            -1, *image.shape[:2]
        )
        for records, image in zip(found, images, strict=True)
    ]
    spent = watch.seconds()
    spent["post"] = total - spent["encoder"] - spent["decoder"]
    return masks, each({**spent, "total": total}, len(images))


def run_ours(
    model: Any, images: list[NDArray[np.uint8]], settings: MaskSettings
) -> tuple[list[Masks], dict[str, float]]:
    watch = Stopwatch(model.device)
    start = watch.now()
    with (
        watch.on(model.encoder, "forward", stage="encoder"),
        watch.on(Decoder, "prompt", "predicted_iou", "logits", stage="decoder"),
        watch.on(Enlarger, "stability", "packed", stage="post"),
        watch.on(device_pixels, "measured", "packed", stage="post"),
    ):
        found = generate_all(model, images, settings)
    total = watch.now() - start
    # Threads overlap: what is not the encoder is shared out as the threads spent it.
    spent = watch.seconds()
    threads = spent["decoder"] + spent["post"]
    rest = total - spent["encoder"]
    seconds = {
        "encoder": spent["encoder"],
        "decoder": rest * spent["decoder"] / threads,
        "post": rest * spent["post"] / threads,
        "total": total,
    }
    return [unpacked(masks) for masks in found], each(seconds, len(images))


def generate_all(
    model: Any, images: list[NDArray[np.uint8]], settings: MaskSettings
) -> list[TileMasks]:
    """Generate masks as `alps-geo label` does: images are encoded together where that pays."""
    found = []
    for first in range(0, len(images), model.images_at_once):
        group = images[first : first + model.images_at_once]
        for image, embedding in zip(group, model.encode_many(group), strict=True):
            shape = image.shape[0], image.shape[1]
            found.append(tile_masks(generate_masks(model, embedding, shape, settings), shape))
    return found


def each(seconds: dict[str, float], count: int) -> dict[str, float]:
    return {stage: value / count for stage, value in seconds.items()}
