"""Settings of the masks of a tile; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError
from alps_geo.fields import AtLeast, Between, check_fields, setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    PointGrids: TypeAlias = Sequence[Sequence[tuple[float, float]] | NDArray[np.float64]]

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Devices that a model can run on; auto is the best that the machine has."""

PRECISIONS = ("float32", "bf16", "fp16")
"""Number types that a model can compute in, see `alps_geo.sam.load_model`."""


@dataclass(frozen=True)
class MaskSettings:
    """The parameters of segment_anything's `SamAutomaticMaskGenerator`: names, meanings, defaults.

    Parameters
    ----------
    points_per_side : int or None
        Prompt points along each side of the tile; None if `point_grids` says where they are.
    points_per_batch : int or None
        Points decoded at once; None chooses what is fastest on the device. It changes no mask.
    pred_iou_thresh : float
        Masks are kept if the model's own prediction of their IoU is above this.
    stability_score_thresh : float
        Masks are kept if their IoU under a shifted logit threshold is at least this.
    stability_score_offset : float
        The shift, in logits.
    box_nms_thresh : float
        Of two masks of one crop whose boxes have a larger IoU than this, the better is kept.
    crop_n_layers : int
        Layers of crops to run as well; layer i has 2**i by 2**i crops, each an encoder pass.
    crop_nms_thresh : float
        As `box_nms_thresh`, between masks of different crops; those of smaller crops win.
    crop_overlap_ratio : float
        Overlap of the first layer's crops, as a share of the tile's shorter side.
    crop_n_points_downscale_factor : int
        Layer n has `points_per_side` divided by this to the power n points along a crop's side.
    point_grids : sequence of (N, 2) arrays or None
        In place of `points_per_side`: for the tile and for each layer of crops the points, (x, y)
        as shares of a crop's width and height. Kept as tuples.
    min_mask_region_area : int
        Holes and islands with fewer pixels than this are removed from each mask; 0 leaves them.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    points_per_side: int | None = setting(32, AtLeast(1))
    points_per_batch: int | None = setting(None, AtLeast(1))
    pred_iou_thresh: float = setting(0.88, Between(0, 1))
    stability_score_thresh: float = setting(0.95, Between(0, 1))
    stability_score_offset: float = setting(1.0, AtLeast(0))
    box_nms_thresh: float = setting(0.7, Between(0, 1))
    crop_n_layers: int = setting(0, AtLeast(0))
    crop_nms_thresh: float = setting(0.7, Between(0, 1))
    crop_overlap_ratio: float = setting(512 / 1500, Between(0, 1))
    crop_n_points_downscale_factor: int = setting(1, AtLeast(1))
    point_grids: PointGrids | None = None
    min_mask_region_area: int = setting(0, AtLeast(0))

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.points_per_side is None) == (self.point_grids is None):
            raise SettingsError(
                f"points_per_side is {self.points_per_side} and point_grids are "
                f"{'absent' if self.point_grids is None else 'given'}, expected one of the two; "
                "set the other to None"
            )
        if self.point_grids is not None:
            grids = _checked(self.point_grids, self.crop_n_layers + 1)
            # Arrays would make settings that can be neither compared nor hashed.
            object.__setattr__(self, "point_grids", grids)


def _checked(grids: PointGrids, count: int) -> PointGrids:
    """Turn point grids into tuples."""
    if len(grids) != count:
        raise SettingsError(
            f"point_grids are {len(grids)}, expected {count}: the tile's, and one for each layer "
            "of crops"
        )
    checked = tuple(tuple((float(x), float(y)) for x, y in grid) for grid in grids)
    outside = [point for grid in checked for point in grid if not 0 <= min(point) <= max(point) < 1]
    if outside:
        raise SettingsError(f"point_grids have {outside[0]}, expected shares from 0 to below 1")
    return checked
