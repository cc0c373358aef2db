"""Labels measured: against ground truth, along the borders of tiles, against other labels."""

from alps_geo.evaluate.agreement import Agreement, evaluate_agreement
from alps_geo.evaluate.folders import MaskLayout
from alps_geo.evaluate.objects import ObjectQuality, ObjectScores, evaluate_objects
from alps_geo.evaluate.picture import draw_quality
from alps_geo.evaluate.quality import Quality, evaluate_quality
from alps_geo.evaluate.report import (
    agreement_record,
    objects_record,
    quality_record,
    seams_record,
    write_quality,
)
from alps_geo.evaluate.seams import SeamExcess, evaluate_seams
from alps_geo.evaluate.truth_file import TruthFile

__all__ = [
    "Agreement",
    "MaskLayout",
    "ObjectQuality",
    "ObjectScores",
    "Quality",
    "SeamExcess",
    "TruthFile",
    "agreement_record",
    "draw_quality",
    "evaluate_agreement",
    "evaluate_objects",
    "evaluate_quality",
    "evaluate_seams",
    "objects_record",
    "quality_record",
    "seams_record",
    "write_quality",
]
