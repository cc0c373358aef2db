"""The list of formats of training sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.outputs.training_set.alps import Alps
from alps_geo.outputs.training_set.coco import Coco
from alps_geo.outputs.training_set.geojson import GeoJson
from alps_geo.outputs.training_set.mmseg import MMSeg
from alps_geo.outputs.training_set.torchgeo import TorchGeo
from alps_geo.outputs.training_set.yolo import Yolo

if TYPE_CHECKING:
    from alps_geo.outputs.training_set.format import TrainingFormat

FORMATS: tuple[TrainingFormat, ...] = (
    MMSeg(),
    Coco(),
    Yolo(),
    TorchGeo(),
    Alps(),
    GeoJson(),
)
"""All formats, in the order of the help."""
