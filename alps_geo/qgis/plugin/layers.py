"""Layers of results in the project of QGIS: added, or drawn again, in the style of the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingUtils,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QThread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qgis.core import QgsMapLayer, QgsProject

    from .results import Result


class _Style(QgsProcessingLayerPostProcessorInterface):
    """Gives a new layer the style that the run wrote, whatever style Processing has for results."""

    def postProcessLayer(
        self,
        layer: QgsMapLayer,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        """Give a layer its style."""
        style(layer)


# A context deletes those of its layers, and nothing else holds them until then.
_STYLES: list[_Style] = []


def style(layer: QgsMapLayer) -> None:
    """Give a layer the style that lies next to its raster, or in its GeoPackage, and draw it."""
    layer.loadDefaultStyle()
    layer.triggerRepaint()


def show(results: Iterable[Result], context: QgsProcessingContext) -> None:
    """Add results to the project, or draw those again that are in it.

    The project belongs to the main thread; in another one, as inside a model, all are added.
    """
    project = context.project()
    if project is None:
        return
    is_main = QThread.currentThread() == QCoreApplication.instance().thread()
    shown = _shown(project) if is_main else {}
    for result in results:
        key = Path(result.path), result.layer
        if key in shown:
            shown[key].reload()
            style(shown[key])
        else:
            _add(result, project, context)


def _shown(project: QgsProject) -> dict[tuple[Path, str], QgsMapLayer]:
    """Return the layers of a project by file and name of the layer in it."""
    found = {}
    for layer in project.mapLayers().values():
        path, _, rest = layer.source().partition("|")
        name = dict(part.partition("=")[::2] for part in rest.split("|")).get("layername", "")
        found[Path(path), name] = layer
    return found


def _add(result: Result, project: QgsProject, context: QgsProcessingContext) -> None:
    kinds = QgsProcessingUtils.LayerHint
    details = QgsProcessingContext.LayerDetails(
        result.name, project, "", kinds.Raster if result.is_raster else kinds.Vector
    )
    # Else the settings of Processing may name layers after their files.
    details.forceName = True
    _STYLES[:] = [each for each in _STYLES if not sip.isdeleted(each)] + [_Style()]
    details.setPostProcessor(_STYLES[-1])
    context.addLayerToLoadOnCompletion(result.source, details)
