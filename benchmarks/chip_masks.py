"""Masks and embeddings of small images, found once by SAM and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window
from rich.progress import track

from alps_geo.masks.generator import TileImage
from alps_geo.masks.registry import make_generator
from alps_geo.masks.tile_masks import TileMasks
from alps_geo.scene import open_scene, read_tile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.masks.generator import MaskModel
    from alps_geo.scene import Scene, TilePixels
    from alps_geo.settings import LabelSettings

_MASKS = tuple(each.name for each in fields(TileMasks))


@dataclass(frozen=True, eq=False)
class Chip:
    """A small image, and everything that SAM says of it.

    Attributes
    ----------
    scene : Scene
        The image.
    pixels : TilePixels
        All its pixels.
    masks : TileMasks
        Its masks, those that the gate drops included.
    embedding : ndarray of float32, shape (256, h, w)
        Its embedding, as the encoder gives it.
    """

    scene: Scene
    pixels: TilePixels
    masks: TileMasks
    embedding: NDArray[np.float32]


def load_chips(paths: Sequence[Path], settings: LabelSettings, cache: Path) -> list[Chip]:
    """Load chips with their masks and embeddings; SAM works on those that the cache lacks."""
    cache.mkdir(parents=True, exist_ok=True)
    model: MaskModel | None = None
    chips = []
    for path in track(paths, "SAM"):
        scene = open_scene(str(path))
        pixels = read_tile(scene, Window(0, 0, scene.width, scene.height))
        stored = cache / f"{scene.width}_{path.stem}.npz"
        if not stored.exists():
            model = model or make_generator(settings.generator_options).load()
            _store(stored, model, _image(scene, pixels))
        with np.load(stored) as arrays:
            kept: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        embedding = kept.pop("embedding")
        shape = tuple(kept.pop("shape").tolist())
        chips.append(Chip(scene, pixels, TileMasks(shape=shape, **kept), embedding))
    return chips


def _image(scene: Scene, pixels: TilePixels) -> TileImage:
    window = Window(0, 0, scene.width, scene.height)
    return TileImage(pixels.image, pixels.valid, window, scene.path, scene.transform, scene.crs)


def _store(path: Path, model: MaskModel, image: TileImage) -> None:
    (encoded,) = model.encode([image])
    masks = model.masks(image, encoded, None)
    arrays = {name: getattr(masks, name) for name in _MASKS}
    np.savez(path, embedding=model.embedding(image, encoded), **arrays)
