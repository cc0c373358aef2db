"""Names of files in a run folder, for modules that need no more of the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.fields.formats import PREVIEW_FORMATS

if TYPE_CHECKING:
    from collections.abc import Container

MODEL = "clusters.npz"
"""The cluster model."""

CLUSTER_TABLE = "clusters.csv"
"""The clusters as a table."""

STAC_COLLECTION, STAC_ITEM = "collection.json", "item.json"
"""The collection of a run, and the item of a scene."""

PROJECT = "alps.qgz"
"""The project of QGIS."""

OVERVIEW = "overview"
"""Folder of pictures of the splits of a folder of images."""

GALLERY, SUGGESTION = "gallery.html", "suggest.png"
"""Views of the clusters that commands make on demand: true as long as the clusters are."""

REPORT = "report.html"
"""The page of a run, which a command makes on demand: true as long as the run is as it was."""

SAMPLE = "sample.gpkg"
"""Points by which the accuracy of a map is assessed."""

LABELS, SEGMENTS, POLYGONS = "labels.tif", "segments.tif", "segments.gpkg"
"""Results of a scene that other outputs are made of: cluster ids, segment ids, polygons."""

PATCHES = "patches.gpkg"
"""Connected areas of one cluster or class."""

LABELS_TABLE = f"{LABELS}.aux.xml"
"""Names of the clusters, and their table of attributes, for GDAL."""

CLASSES, CLASSES_STYLE = "classes.tif", "classes.qml"
"""Results of a scene whose segments have classes."""


def preview_file(form: str) -> str:
    """Name the preview of a scene in a format of `alps_geo.fields.formats.PREVIEW_FORMATS`."""
    return f"preview.{form}"


def preview_formats(files: Container[str]) -> tuple[str, ...]:
    """Return the formats of the preview of a scene, of the names of its results."""
    return tuple(form for form in PREVIEW_FORMATS if preview_file(form) in files)


def class_preview_file(form: str) -> str:
    """Name the preview of the classes of a scene in one of these formats."""
    return f"classes.{form}"


CLASS_FILES = (CLASSES, CLASSES_STYLE, *map(class_preview_file, PREVIEW_FORMATS))
"""All files of classes in the folder of a scene, in all formats of previews."""

PROBABILITY, REGIONS = "probability.tif", "regions.gpkg"
"""Results of a scene whose pixels have classes: probabilities, and regions of one class each."""

PREDICTED_PREVIEW = class_preview_file("png")
"""Picture of a scene whose pixels have classes."""

PREDICTED_FILES = (CLASSES, CLASSES_STYLE, PROBABILITY, REGIONS, PREDICTED_PREVIEW)
"""All files of a prediction in the folder of a scene."""

CLASS_MODEL = "classes.npz"
"""The model of classes."""

SUGGESTED, SUGGESTED_PAGE = "suggested.gpkg", "suggested.html"
"""Segments to label next, and a page that shows them."""

SIMILAR = "similar.gpkg"
"""Segments most like one."""

TRAINING_FORMATS = ("mmseg", "coco", "yolo-seg", "torchgeo", "alps", "geojson")
"""Names of the formats of training sets."""
