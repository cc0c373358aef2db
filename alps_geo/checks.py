"""Checks of a run: that a fitted model goes with its scenes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alps_geo.errors import RunError
from alps_geo.kinds import check_known, scene_kind
from alps_geo.settings import SEGMENT_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alps_geo.clusters import ClusterModel
    from alps_geo.scene import Scene
    from alps_geo.settings import LabelSettings


def check_model(
    model: ClusterModel, scenes: Sequence[Scene], settings: LabelSettings, sam_sha256: str
) -> Iterator[str]:
    """Check that scenes and settings go with a fitted model; yield a note for each difference.

    Raises
    ------
    RunError
        If the model knows no such scenes, or features of other weights.
    """
    for scene in scenes:
        check_known(scene_kind(scene), model.kinds)
    fitted = json.loads(model.fitted_with)
    if "sam" in model.features and fitted.get("sam_sha256", sam_sha256) != sam_sha256:
        raise RunError(
            f"{settings.clusters_from}: the clusters were fitted with features of "
            f"{fitted['settings']['model']}, and this run uses {settings.model} with other "
            "weights; expected the same: give that --model and --checkpoint"
        )
    now = settings.to_dict()
    for name in SEGMENT_SETTINGS:
        before = fitted.get("settings", {}).get(name, now[name])
        if before != now[name]:
            option = name.replace("_", "-")
            yield f"the clusters were fitted with --{option} {before}, not {now[name]}"
