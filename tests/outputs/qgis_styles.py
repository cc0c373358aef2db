"""Program for the Python of QGIS: draw each style of a GeoPackage, and the rasters next to it."""

# mypy: ignore-errors

import json
import sqlite3
import sys
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsLayerTree,
    QgsLayerTreeModel,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtXml import QDomDocument

DPI, SIDE = 96, 400


def drawn(layer, extent, picture):
    """Draw a layer, keep the picture, and return the share of each of its colours."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(extent)
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setOutputDpi(DPI)
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(str(picture))
    shares = {}
    for x in range(SIDE):
        for y in range(SIDE):
            name = QColor(image.pixel(x, y)).name()
            shares[name] = shares.get(name, 0) + 1 / SIDE**2
    return {name: share for name, share in shares.items() if share > 0.0005}


def document(text):
    found = QDomDocument()
    found.setContent(text, True)
    return found


def styled(layer, name, qml, sld):
    """Draw a layer in a style of QGIS and in the same one as other programs read it."""
    by_qml, by_sld = (QgsVectorLayer(f"{path}|layername={layer}", "styled") for _ in range(2))
    is_read, _ = by_qml.importNamedStyle(document(qml))
    is_sld_read = by_sld.readSld(
        document(sld).documentElement().firstChildElement("NamedLayer"), ""
    )
    view = by_qml.extent()
    metre = 500 * 0.0254 / DPI
    center = view.center()
    near = QgsRectangle.fromCenterAndSize(center, SIDE * metre, SIDE * metre)
    picture = pictures / f"{layer}-{name}"
    return {
        "read": is_read and is_sld_read,
        "legend": [item.label() for item in by_qml.renderer().legendSymbolItems()],
        "drawn": drawn(by_qml, view, f"{picture}.png"),
        "near": drawn(by_qml, near, f"{picture}-500.png"),
        "sld": drawn(by_sld, view, f"{picture}-sld.png"),
        "display": by_qml.displayExpression() != "",
    }


def raster(name):
    layer = QgsRasterLayer(str(path.with_name(name)), "raster")
    tree = QgsLayerTree()
    node = tree.addLayer(layer)
    model = QgsLayerTreeModel(tree)
    model.refreshLayerLegend(node)
    return {
        "valid": layer.isValid(),
        "renderer": layer.renderer().type(),
        "legend": len(model.layerLegendNodes(node)),
        "drawn": drawn(layer, layer.extent(), pictures / f"{name}.png"),
    }


application = QgsApplication([], False)
application.initQgis()
path, pictures = (Path(each) for each in sys.argv[1:])
database = sqlite3.connect(path)
rows = database.execute(
    "SELECT f_table_name, styleName, styleQML, styleSLD FROM layer_styles ORDER BY id"
).fetchall()
styles = {f"{layer} {name}": styled(layer, name, *rest) for layer, name, *rest in rows}
rasters = {name: raster(name) for name in ("segments.tif", "labels.tif")}
print(json.dumps({"styles": styles, "rasters": rasters}))
