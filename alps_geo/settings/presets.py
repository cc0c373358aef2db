"""Settings that go together, under one name."""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "alps": {
        "clusters": 46,
        "passes": 1,
        "batch_size": 512,
        "small_clusters": 1,
        "points": "grid:32",
        "pred_iou_thresh": 0.88,
        "stability_score_thresh": 0.95,
        "max_mask_area": 0.3,
        "fill": "none",
        "min_area": 1,
        "merge": False,
        "neighbours": 0.0,
        "features": "sam",
        "compare": "raw",
    },
    "draft": {"points": "none"},
    "fine": {"tile_size": (1024, 512), "points": "grid:32"},
}
"""Settings that go together: ``alps`` is the published recipe (arXiv 2406.10855, section 4),
``draft`` a first look without masks, and ``fine`` a search for every object."""

IMAGE_PRESETS = {**PRESETS, "alps": {**PRESETS["alps"], "tile_size": 16384}}
"""The same for images of folders, which the published recipe shows to SAM whole."""
