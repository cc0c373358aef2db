"""Program for QGIS's own Python: runs an algorithm as QGIS's dialog does, and tells what it showed.

Usage: python3 dialog.py PLUGINS < REQUEST, with the JSON of `algorithm`, `parameters`, `project`
(sources of layers that are open before) and `cancel_at` (a text of progress).
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEventLoop


class Shown(QgsProcessingFeedback):
    """Keeps all that a dialog would show, and cancels at a text of progress."""

    def __init__(self, cancel_at: str | None) -> None:
        super().__init__(False)
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.numbers: list[float] = []
        self.threads: set[str] = set()
        self._cancel_at = cancel_at
        self.progressChanged.connect(self.numbers.append)

    def setProgressText(self, text: str) -> None:
        self.texts.append(text)
        self.threads.add(threading.current_thread().name)
        if self._cancel_at is not None and text.startswith(self._cancel_at):
            self.cancel()

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N803
        self.errors.append(error)

    def pushWarning(self, warning: str) -> None:
        self.texts.append(f"warning: {warning}")


def run(request: dict[str, Any]) -> dict[str, Any]:
    from processing.gui.Postprocessing import handleAlgorithmResults

    project = QgsProject.instance()
    for source in request["project"]:
        is_vector = "|" in source
        layer = QgsVectorLayer(source, "open") if is_vector else QgsRasterLayer(source, "open")
        assert project.addMapLayer(layer)
    before = set(project.mapLayers())
    algorithm = QgsApplication.processingRegistry().createAlgorithmById(request["algorithm"])
    context, feedback = QgsProcessingContext(), Shown(request["cancel_at"])
    context.setProject(project)
    context.setFeedback(feedback)
    task = QgsProcessingAlgRunnerTask(algorithm, request["parameters"], context, feedback)
    ended: list[tuple[bool, dict[str, Any]]] = []
    loop = QEventLoop()
    task.executed.connect(lambda ok, results: ended.append((ok, results)))
    task.executed.connect(loop.quit)
    QgsApplication.taskManager().addTask(task)
    loop.exec_()
    ((ok, results),) = ended
    if ok:
        handleAlgorithmResults(algorithm, context, feedback, parameters=request["parameters"])
    return {
        "ok": ok,
        "results": results,
        "texts": feedback.texts,
        "errors": feedback.errors,
        "numbers": feedback.numbers,
        "in_main_thread": "MainThread" in feedback.threads,
        "layers": [
            {"is_new": key not in before, **described(layer)}
            for key, layer in project.mapLayers().items()
        ],
    }


def described(layer: Any) -> dict[str, Any]:
    renderer = layer.renderer()
    if isinstance(layer, QgsRasterLayer):
        labels = (
            [each.label for each in renderer.classes()] if renderer.type() == "paletted" else []
        )
    else:
        found = renderer.categories() if renderer.type() == "categorizedSymbol" else []
        labels = [each.label() for each in found]
    return {
        "name": layer.name(),
        "source": layer.source(),
        "renderer": renderer.type(),
        "legend": labels,
        "features": -1 if isinstance(layer, QgsRasterLayer) else layer.featureCount(),
    }


def main() -> None:
    request = json.load(sys.stdin)
    application = QgsApplication([], False)
    application.initQgis()
    sys.path += [sys.argv[1], f"{QgsApplication.pkgDataPath()}/python/plugins"]
    import alps_geo_qgis
    from processing.core.Processing import Processing

    Processing.initialize()
    plugin = alps_geo_qgis.classFactory(None)
    plugin.initProcessing()
    shown = run(request)
    plugin.unload()
    assert QgsApplication.processingRegistry().providerById("alps") is None
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
