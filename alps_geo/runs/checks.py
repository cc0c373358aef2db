"""Checks of a run: a fitted model goes with its scenes, and there are pixels and segments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alps_geo.errors import RunError, SceneError
from alps_geo.features.kinds import check_known
from alps_geo.runs.run import all_fitted_settings
from alps_geo.settings import current_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.masks.generator import Weights
    from alps_geo.runs.failures import FailedImage, FailedTile
    from alps_geo.settings import LabelSettings


def check_model(
    model: ClusterModel, kinds: Iterable[str], settings: LabelSettings, weights: Weights
) -> Iterator[str]:
    """Check that scenes and settings go with a fitted model; yield a note for each difference.

    Parameters
    ----------
    model : ClusterModel
        The model.
    kinds : iterable of str
        Kinds of the scenes.
    settings : LabelSettings
        The run's settings.
    weights : Weights
        Digests of the weights.

    Raises
    ------
    RunError
        If the model knows no such scenes, or features of other weights.
    """
    for kind in kinds:
        check_known(kind, model.projection.kinds)
    fitted = json.loads(model.fitted_with)
    same_sam = fitted.get("sam_sha256", weights.sam) == weights.sam
    if "sam" in model.features and not same_sam:
        raise RunError(
            f"{settings.clusters_from}: the clusters were fitted with features of "
            f"{fitted['settings']['model']}, and this run uses {weights.model} with other "
            "weights; expected the same: give that --model and --checkpoint"
        )
    if fitted.get("timm_sha256", weights.backbone) != weights.backbone:
        raise RunError(
            f"{settings.clusters_from}: the clusters were fitted with features of "
            f"timm:{settings.backbone}, and this run uses other weights of it; expected the "
            "same: give that --timm-checkpoint"
        )
    now = settings.to_dict()
    # The content of weights files counts, and not their names.
    passed_over = {"timm_checkpoint"} | ({"checkpoint"} if same_sam else set())
    before = {**now, **all_fitted_settings(model)}
    for name in current_words(settings.deciding("tiles", "segments", files=True)):
        was, typed = _typed(before[name]), _typed(now[name])
        if name not in passed_over and was != typed:
            option, value = name.replace("_", "-"), f" {was}, not {typed}"
            if isinstance(now[name], bool):
                value = f", not --no-{option}"
                if now[name]:
                    option, value = f"no-{option}", f", not --{option}"
            yield f"the clusters were fitted with --{option}{value}"


def _typed(value: object) -> str:
    """Return the value of a setting as it is typed: 1024,512 for several sizes."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def check_valid(valid_pixels: int, failed: Sequence[FailedTile | FailedImage]) -> None:
    """Raise SceneError if no pixel with data was worked on."""
    if valid_pixels:
        return
    if failed:
        raise SceneError(f"{failed[0].reason} (and so with all tiles that hold data)")
    raise SceneError(
        "no pixel of the scenes has data that can be used, expected some: check their nodata, "
        "scale and offset tags"
    )


def check_segments(count: int, failed: Sequence[FailedTile | FailedImage]) -> None:
    """Raise RunError if there is no segment to fit clusters to."""
    if count:
        return
    tiles = f", and {len(failed)} tiles failed ({failed[0].reason})" if failed else ""
    raise RunError(
        f"there is no segment to fit clusters to: SAM found no mask{tiles}, and --fill none makes "
        "no segments of the rest; give --fill superpixels, lower --pred-iou-thresh and "
        "--stability-score-thresh, more --points or a smaller --tile-size"
    )
