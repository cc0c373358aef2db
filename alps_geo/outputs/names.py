"""Names of files in a run folder, for modules that need no more of the outputs."""

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

CLASSES, CLASSES_STYLE, CLASSES_PREVIEW = "classes.tif", "classes.qml", "classes.png"
"""Results of a scene whose segments have classes."""

CLASS_FILES = (CLASSES, CLASSES_STYLE, CLASSES_PREVIEW)
"""All files of classes in the folder of a scene."""

CLASS_MODEL = "classes.npz"
"""The model of classes."""

SUGGESTED, SUGGESTED_PAGE = "suggested.gpkg", "suggested.html"
"""Segments to label next, and a page that shows them."""

SIMILAR = "similar.gpkg"
"""Segments most like one."""

TRAINING_FORMATS = ("mmseg", "coco", "yolo-seg", "torchgeo", "alps", "geojson")
"""Names of the formats of training sets."""
