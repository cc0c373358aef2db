"""From a grid of points to the filtered, deduplicated masks of one tile.

The steps and their order are those of segment_anything's `SamAutomaticMaskGenerator`; what they
compute is the same, how it's computed is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import nms

from alps_geo.errors import SettingsError
from alps_geo.sam.frame import SIDE, Frame
from alps_geo.sam.masks import TileMasks, pack
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@dataclass(frozen=True)
class _Found:
    """Masks on their way through the filters; bbox half-open, in window pixels."""

    bbox: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    crops: list[NDArray[np.bool_]]
    smallness: NDArray[np.float32]

    def __getitem__(self, keep: NDArray[np.int64]) -> _Found:
        return _Found(
            self.bbox[keep],
            self.predicted_iou[keep],
            self.stability_score[keep],
            [self.crops[i] for i in keep],
            self.smallness[keep],
        )


@torch.inference_mode()
def generate_masks(
    model: SamModel,
    image: NDArray[np.uint8],
    settings: MaskSettings = MaskSettings(),  # noqa: B008 - frozen, so safe to share
    valid: NDArray[np.bool_] | None = None,
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

    Returns
    -------
    TileMasks
        Ordered by predicted IoU, best first; the same input always gives the same masks in the
        same order.

    Raises
    ------
    SettingsError
        If the image or the valid mask has another shape or dtype.
    """
    _check(image, valid)
    height, width = image.shape[:2]
    found, embeddings = [], []
    for crop in _crops(height, width, settings):
        part = np.ascontiguousarray(image[crop.slices])
        embedding = model.encode(part)
        points = _points(crop, settings, valid)
        found.append(_masks_of_crop(model, embedding, points, crop, (height, width), settings))
        embeddings.append(embedding)
    masks = _join(found)
    if len(found) > 1:
        masks = masks[_keep(masks.bbox, masks.smallness, settings.crop_nms_thresh)]
    if settings.min_mask_region_area:
        masks = _without_small_regions(masks, (height, width), settings)
    bits, offsets = pack(masks.crops)
    rows, cols = Frame(height, width).grid_shape
    return TileMasks(
        shape=(height, width),
        bbox=masks.bbox.astype(np.int32),
        predicted_iou=masks.predicted_iou,
        stability_score=masks.stability_score,
        area=np.array([np.count_nonzero(crop) for crop in masks.crops], dtype=np.int64),
        bits=bits,
        offsets=offsets,
        embedding=embeddings[0][0, :, :rows, :cols].float().cpu().numpy().copy(),
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
    per_side = int(settings.points_per_side / settings.crop_n_points_downscale_factor**crop.layer)
    half = 1 / (2 * per_side)
    along = np.linspace(half, 1 - half, per_side)
    rows, cols = np.meshgrid(along * crop.shape[0], along * crop.shape[1], indexing="ij")
    points = np.stack([rows.ravel(), cols.ravel()], axis=1)
    if valid is None:
        return points
    row, col = points.astype(np.int64).T
    return np.compress(valid[crop.slices][row, col], points, axis=0)


def _masks_of_crop(
    model: SamModel,
    embedding: Tensor,
    points: NDArray[np.float64],
    crop: _Crop,
    tile_shape: tuple[int, int],
    settings: MaskSettings,
) -> _Found:
    batch = settings.points_per_batch or 4
    parts = [
        _masks_of_batch(model, embedding, points[start : start + batch], crop, settings)
        for start in range(0, len(points), batch)
    ]
    found = _join(parts)
    found = found[np.flatnonzero(~_is_cut_off(found.bbox, crop, tile_shape))]
    return found[_keep(found.bbox, found.predicted_iou, settings.box_nms_thresh)]


def _masks_of_batch(
    model: SamModel,
    embedding: Tensor,
    points: NDArray[np.float64],
    crop: _Crop,
    settings: MaskSettings,
) -> _Found:
    frame = Frame(*crop.shape)
    logits, predicted_iou = _decode(model, embedding, points * frame.scale)
    if settings.pred_iou_thresh > 0:
        keep = predicted_iou > settings.pred_iou_thresh
        logits, predicted_iou = logits[keep], predicted_iou[keep]
    full = _full_size(logits, frame)
    inner = (full > settings.stability_score_offset).sum((-1, -2))
    outer = (full > -settings.stability_score_offset).sum((-1, -2))
    stability = inner / outer.clamp(min=1)
    keep = (stability >= settings.stability_score_thresh) & (full > 0).any(-1).any(-1)
    dense = (full[keep] > 0).cpu().numpy()
    packed = TileMasks.from_dense(
        dense,
        predicted_iou[keep].cpu().numpy(),
        stability[keep].cpu().numpy(),
        np.zeros((0, 0, 0), dtype=np.float32),
    )
    height, width = crop.shape
    return _Found(
        packed.bbox.astype(np.int64) + np.array([crop.row_min, crop.col_min] * 2),
        packed.predicted_iou,
        packed.stability_score,
        [packed.mask(i) for i in range(len(packed))],
        np.full(len(packed), 1 / (height * width), dtype=np.float32),
    )


def _decode(
    model: SamModel, embedding: Tensor, points: NDArray[np.float64]
) -> tuple[Tensor, Tensor]:
    """Three masks for each point: logits (3 P, 256, 256) and predicted IoU (3 P,)."""
    sam = model.sam
    xy = torch.as_tensor(points[:, None, ::-1].copy(), dtype=torch.float32, device=model.device)
    labels = torch.ones(xy.shape[:2], dtype=torch.int, device=model.device)
    sparse, dense = sam.prompt_encoder(points=(xy, labels), boxes=None, masks=None)
    logits, predicted_iou = sam.mask_decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    return logits.flatten(0, 1), predicted_iou.flatten(0, 1)


def _full_size(logits: Tensor, frame: Frame) -> Tensor:
    """Bring (N, 256, 256) logits to the size of the image, by way of the encoder's square."""
    rows, cols = frame.input_shape
    square = F.interpolate(logits[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    inside = square[:, :, :rows, :cols]
    return F.interpolate(inside, frame.shape, mode="bilinear", align_corners=False)[:, 0]


def _join(parts: list[_Found]) -> _Found:
    return _Found(
        np.concatenate([np.zeros((0, 4), dtype=np.int64), *(part.bbox for part in parts)]),
        _concatenate([part.predicted_iou for part in parts]),
        _concatenate([part.stability_score for part in parts]),
        [crop for part in parts for crop in part.crops],
        _concatenate([part.smallness for part in parts]),
    )


def _concatenate(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(0, dtype=np.float32), *parts])


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
    boxes = torch.from_numpy(_inclusive(bbox)).float()
    kept: NDArray[np.int64] = nms(boxes, torch.from_numpy(scores), threshold).numpy()
    return kept


def _inclusive(bbox: NDArray[np.int64]) -> NDArray[np.int64]:
    """Boxes as segment_anything measures them: the last row and column, not one beyond."""
    return np.where(bbox.any(axis=1, keepdims=True), bbox - np.array([0, 0, 1, 1]), bbox)


def _without_small_regions(
    masks: _Found, tile_shape: tuple[int, int], settings: MaskSettings
) -> _Found:
    """Fill small holes, drop small islands, and drop what has become a duplicate."""
    repaired, bbox = [], masks.bbox.copy()
    is_as_it_was = np.ones(len(masks.bbox), dtype=np.float32)
    for index, crop in enumerate(masks.crops):
        row_min, col_min, row_max, col_max = masks.bbox[index]
        mask = np.zeros(tile_shape, dtype=np.bool_)
        mask[row_min:row_max, col_min:col_max] = crop
        mask = _without_islands(_without_holes(mask, settings), settings)
        rows, cols = ndimage.find_objects(mask.astype(np.uint8))[0]
        bbox[index] = rows.start, cols.start, rows.stop, cols.stop
        repaired.append(mask[rows, cols])
        is_as_it_was[index] = np.array_equal(repaired[-1], crop)
    changed = _Found(bbox, masks.predicted_iou, masks.stability_score, repaired, masks.smallness)
    # Masks that needed no repair win over those that did.
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    return changed[_keep(bbox, is_as_it_was, threshold)]


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
