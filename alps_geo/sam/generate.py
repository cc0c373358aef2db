"""From a grid of points to the filtered, deduplicated masks of one tile.

The steps and their order are those of segment_anything's `SamAutomaticMaskGenerator`; what they
compute is the same, how it's computed is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from alps_geo.errors import SettingsError
from alps_geo.sam import batches, resources, rounds
from alps_geo.sam.candidates import Candidates, crop_bits, join
from alps_geo.sam.frame import Frame
from alps_geo.sam.masks import TileMasks
from alps_geo.sam.pixels import boxes
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.sam.model import SamModel

_EDGE = 20
"""A box this close to the edge of a crop, in pixels, is taken for cut off."""


@dataclass(frozen=True)
class _Crop:
    """A part of the tile that gets an encoder pass of its own; half-open, in window pixels."""

    row_min: int
    col_min: int
    row_max: int
    col_max: int
    layer: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.row_max - self.row_min, self.col_max - self.col_min

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.row_min, self.row_max), slice(self.col_min, self.col_max)


@torch.inference_mode()
def generate_masks(
    model: SamModel,
    image: NDArray[np.uint8],
    settings: MaskSettings = MaskSettings(),  # noqa: B008 - frozen, so safe to share
    valid: NDArray[np.bool_] | None = None,
    embedding: Tensor | None = None,
) -> TileMasks:
    """Find the masks of one tile.

    Parameters
    ----------
    model : SamModel
        From `alps_geo.sam.load_model`.
    image : (H, W, 3) uint8
        Red, green, blue.
    settings : MaskSettings
        What decides which masks are kept.
    valid : (H, W) bool, optional
        True where there is data; points elsewhere are skipped before the decoder.
    embedding : (1, 256, 64, 64), optional
        What `SamModel.encode` or `encode_many` gives for the image, if it has been encoded already.

    Returns
    -------
    TileMasks
        In segment_anything's order: best predicted IoU first, but masks of smaller crops before
        those of larger ones, and unrepaired masks before repaired ones. The same input gives the
        same masks in the same order. Masks without a pixel are left out.

    Raises
    ------
    SettingsError
        If the image or the valid mask has another shape or dtype.
    ModelError
        If memory doesn't suffice for a single point.
    """
    _check(image, valid)
    height, width = image.shape[:2]
    if embedding is None:
        embedding = model.encode(image)
    whole, *crops = _crops(height, width, settings)
    found, smallness = [], []
    for crop, its_embedding in chain([(whole, embedding)], _encoded(model, image, crops)):
        points = _points(crop, settings, valid)
        found.append(_masks_of_crop(model, its_embedding, points, crop, (height, width), settings))
        # Of two masks that are the same, that of the smaller crop wins.
        area = crop.shape[0] * crop.shape[1]
        smallness.append(np.full(len(found[-1]), 1 / area, dtype=np.float32))
    masks = join(found)
    if crops:
        masks = masks[_keep(masks.bbox, np.concatenate(smallness), settings.crop_nms_thresh)]
    if settings.min_mask_region_area:
        masks = _without_small_regions(masks, (height, width), settings)
    return _tile_masks(masks, embedding, Frame(height, width))


def _encoded(
    model: SamModel, image: NDArray[np.uint8], crops: Sequence[_Crop]
) -> Iterator[tuple[_Crop, Tensor]]:
    """Encode crops, as many at once as the device likes."""
    count = model.images_at_once
    for start in range(0, len(crops), count):
        some = crops[start : start + count]
        yield from zip(some, model.encode_many([image[crop.slices] for crop in some]), strict=True)


def _tile_masks(masks: Candidates, embedding: Tensor, frame: Frame) -> TileMasks:
    rows, cols = frame.grid_shape
    return TileMasks(
        shape=frame.shape,
        bbox=masks.bbox.astype(np.int32),
        predicted_iou=masks.predicted_iou,
        stability_score=masks.stability_score,
        area=np.array([np.unpackbits(bits).sum() for bits in masks.bits], dtype=np.int64),
        bits=np.concatenate([np.zeros(0, dtype=np.uint8), *masks.bits]),
        offsets=masks.offsets,
        embedding=np.ascontiguousarray(embedding[0, :, :rows, :cols].float().cpu().numpy()),
    )


def _check(image: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise SettingsError(
            f"the image is {image.dtype} of shape {image.shape}, expected uint8 of (H, W, 3)"
        )
    if valid is not None and (valid.shape != image.shape[:2] or valid.dtype != np.bool_):
        raise SettingsError(
            f"the valid mask is {valid.dtype} of shape {valid.shape}, "
            f"expected bool of {image.shape[:2]}"
        )


def _crops(height: int, width: int, settings: MaskSettings) -> Iterator[_Crop]:
    """Yield the whole tile, then 2**i by 2**i overlapping crops of each layer i, by column."""
    yield _Crop(0, 0, height, width, layer=0)
    for layer in range(1, settings.crop_n_layers + 1):
        count = 2**layer
        overlap = int(settings.crop_overlap_ratio * min(height, width) * 2 / count)
        crop_height = ceil((overlap * (count - 1) + height) / count)
        crop_width = ceil((overlap * (count - 1) + width) / count)
        for col, row in product(range(count), range(count)):
            top, left = row * (crop_height - overlap), col * (crop_width - overlap)
            yield _Crop(
                top, left, min(top + crop_height, height), min(left + crop_width, width), layer
            )


def _points(
    crop: _Crop, settings: MaskSettings, valid: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Give the (row, col) prompts of a crop, in crop pixels, that lie on data."""
    points = _grid(crop.layer, settings)[:, ::-1] * crop.shape
    if valid is None:
        return points
    row, col = points.astype(np.int64).T
    return np.compress(valid[crop.slices][row, col], points, axis=0)


def _grid(layer: int, settings: MaskSettings) -> NDArray[np.float64]:
    """Give the (x, y) of a layer's points, as shares of a crop's width and height."""
    if settings.points_per_side is None:
        grids = settings.point_grids or ()
        return np.array(grids[layer], dtype=np.float64).reshape(-1, 2)
    per_side = int(settings.points_per_side / settings.crop_n_points_downscale_factor**layer)
    half = 1 / (2 * per_side)
    along = np.linspace(half, 1 - half, per_side)
    y, x = np.meshgrid(along, along, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _masks_of_crop(
    model: SamModel,
    embedding: Tensor,
    points: NDArray[np.float64],
    crop: _Crop,
    tile_shape: tuple[int, int],
    settings: MaskSettings,
) -> Candidates:
    keys = model.decoder.prepare(embedding)
    frame = Frame(*crop.shape)
    inputs = (points * frame.scale)[:, ::-1].astype(np.float32)
    decode = batches.candidates
    if resources.wants_large_batches(embedding):
        decode = rounds.candidates
    found = decode(model, keys, frame, inputs, settings)
    found = replace(found, bbox=found.bbox + np.array([crop.row_min, crop.col_min] * 2))
    found = found[np.flatnonzero(~_is_cut_off(found.bbox, crop, tile_shape))]
    return found[_keep(found.bbox, found.predicted_iou, settings.box_nms_thresh)]


def _is_cut_off(
    bbox: NDArray[np.int64], crop: _Crop, tile_shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Whether a box ends near an edge of its crop that isn't an edge of the tile."""
    last = _inclusive(bbox)
    crop_edges = np.array([crop.row_min, crop.col_min, crop.row_max, crop.col_max])
    tile_edges = np.array([0, 0, *tile_shape])
    near_crop = np.abs(last - crop_edges) <= _EDGE
    near_tile = np.abs(last - tile_edges) <= _EDGE
    cut: NDArray[np.bool_] = (near_crop & ~near_tile).any(axis=1)
    return cut


def _keep(
    bbox: NDArray[np.int64], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.int64]:
    """Pick the masks that survive non-maximum suppression by box, best first."""
    top, left, bottom, right = _inclusive(bbox).T.astype(np.float32)
    area = (bottom - top) * (right - left)
    rest = np.argsort(-scores, kind="stable")
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        shared = height.clip(min=0) * width.clip(min=0)
        union = (area[best] + area[rest] - shared).clip(min=np.finfo(np.float32).tiny)
        rest = rest[(shared / union).astype(np.float64) <= threshold]
    return np.array(kept, dtype=np.int64)


def _inclusive(bbox: NDArray[np.int64]) -> NDArray[np.int64]:
    """Boxes as segment_anything measures them: the last row and column, not one beyond."""
    return np.where(bbox.any(axis=1, keepdims=True), bbox - np.array([0, 0, 1, 1]), bbox)


def _without_small_regions(
    masks: Candidates, tile_shape: tuple[int, int], settings: MaskSettings
) -> Candidates:
    """Fill small holes, drop small islands, and drop what has become a duplicate."""
    repaired, bbox = [], masks.bbox.copy()
    is_as_it_was = np.ones(len(masks.bbox), dtype=np.float32)
    for index, bits in enumerate(masks.bits):
        before = _unpack(bits, masks.bbox[index], tile_shape)
        after = _without_islands(_without_holes(before, settings), settings)
        bbox[index] = boxes(np.packbits(after[None], axis=-1), tile_shape[1])[0]
        repaired.append(crop_bits(np.packbits(after, axis=-1), bbox[index]))
        is_as_it_was[index] = np.array_equal(before, after)
    changed = replace(masks, bbox=bbox, bits=repaired)
    # Masks that needed no repair win over those that did.
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    return changed[_keep(bbox, is_as_it_was, threshold)]


def _unpack(
    bits: NDArray[np.uint8], box: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    row_min, col_min, row_max, col_max = box
    inside = row_max - row_min, col_max - col_min
    mask = np.zeros(shape, dtype=np.bool_)
    mask[row_min:row_max, col_min:col_max] = np.unpackbits(
        bits, count=inside[0] * inside[1]
    ).reshape(inside)
    return mask


def _without_holes(mask: NDArray[np.bool_], settings: MaskSettings) -> NDArray[np.bool_]:
    labels, sizes = _regions(~mask)
    is_small = sizes < settings.min_mask_region_area
    is_small[0] = True  # the mask itself stays
    return is_small[labels]


def _without_islands(mask: NDArray[np.bool_], settings: MaskSettings) -> NDArray[np.bool_]:
    """Drop small islands; if all are small, the largest stays."""
    labels, sizes = _regions(mask)
    sizes[0] = 0
    is_large = sizes >= settings.min_mask_region_area
    is_large[np.argmax(sizes)] = True
    return is_large[labels]


def _regions(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Label 8-connected regions from 1 on, 0 outside; and count the pixels of each label."""
    labels, count = ndimage.label(inside, structure=np.ones((3, 3)))
    return labels, np.bincount(labels.ravel(), minlength=count + 1)
