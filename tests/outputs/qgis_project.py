"""Program for the Python of QGIS: open a project, draw it, and describe it in JSON."""

# mypy: ignore-errors

import json
import sys

from qgis.core import (
    QgsApplication,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

SIDE = 400


def drawn(project, layers, extent):
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(project.crs())
    settings.setExtent(extent)
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    return {image.pixel(x, y) for x in range(0, SIDE, 7) for y in range(0, SIDE, 7)}


def described(layer):
    """Return texts and symbols of the features of a layer, in the style that QGIS gives it."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    found = {}
    for feature in layer.getFeatures():
        context.setFeature(feature)
        display = QgsExpression(layer.displayExpression()).evaluate(context)
        tip = QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)
        found[str(feature["segment_id"])] = [display, tip]
    return {
        "features": found,
        "alias": layer.attributeAlias(layer.fields().indexOf("cluster_name")),
        "choices": {
            field.name(): [name for each in setup.config()["map"] for name in each]
            for field in layer.fields()
            if (setup := layer.editorWidgetSetup(layer.fields().indexOf(field.name()))).type()
            == "ValueMap"
        },
        "legend": [item.label() for item in layer.renderer().legendSymbolItems()],
        "colors": len(drawn(QgsProject.instance(), [layer], layer.extent())),
    }


application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
is_read = project.read(sys.argv[1])
view = project.viewSettings().defaultViewExtent()
nodes = project.layerTreeRoot().findLayers()
layers = {}
for node in nodes:
    layer = node.layer()
    layers[node.name()] = {
        "valid": layer is not None and layer.isValid(),
        "visible": node.isVisible(),
        "opacity": layer.renderer().opacity() if hasattr(layer.renderer(), "opacity") else None,
        "layer_opacity": layer.opacity(),
        "colors": len(drawn(project, [layer], view)),
        "inside": QgsRectangle(view).contains(layer.extent()),
    }
print(
    json.dumps(
        {
            "read": is_read,
            "crs": project.crs().authid(),
            "layers": layers,
            "styled": [described(QgsVectorLayer(source, "styled")) for source in sys.argv[2:]],
            "all": len(drawn(project, [node.layer() for node in nodes if node.isVisible()], view)),
        }
    )
)
