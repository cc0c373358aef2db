"""The algorithms: label a raster, apply clusters, name clusters, classify, export."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingOutputFolder,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from .algorithm import ProgramAlgorithm
from .command_line import names_of_clusters
from .results import suggested_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qgis.core import (
        QgsMapLayer,
        QgsProcessingContext,
        QgsProcessingFeedback,
        QgsProcessingParameterDefinition,
    )

    from .algorithm import Given
    from .installation import Value
    from .results import Result

INPUT, FURTHER, OUTPUT, RUN = "INPUT", "FURTHER", "OUTPUT", "RUN"
LABELS, SEGMENTS = "LABELS", "SEGMENTS"


class _OnRasters(ProgramAlgorithm):
    """Labels rasters in a new run folder."""

    own = frozenset({"out"})
    maps = "clusters"
    after_cancel = (
        "Finished tiles are kept: run it again with the same parameters and {folder} as the folder "
        "of the results, and it goes on where it stopped."
    )

    def own_parameters(self) -> Sequence[QgsProcessingParameterDefinition]:
        """Return the rasters and the folder."""
        rasters = QgsProcessing.TypeRaster
        return (
            QgsProcessingParameterRasterLayer(INPUT, "Raster"),
            QgsProcessingParameterMultipleLayers(
                FURTHER, "Further rasters, with the same clusters", rasters, None, True
            ),
            QgsProcessingParameterFolderDestination(OUTPUT, "Folder of the results"),
        )

    def initAlgorithm(self, configuration: object = None) -> None:
        """Define the parameters, and the layers of the first raster for models."""
        super().initAlgorithm(configuration)
        self.addOutput(QgsProcessingOutputRasterLayer(LABELS, "Labels of the raster"))
        self.addOutput(QgsProcessingOutputVectorLayer(SEGMENTS, "Segments of the raster"))

    def own_arguments(
        self, folder: str, given: Given, context: QgsProcessingContext, log: QgsProcessingFeedback
    ) -> list[str]:
        """Return the folder and the rasters."""
        first = self.parameterAsRasterLayer(given, INPUT, context)
        further = self.parameterAsLayerList(given, FURTHER, context) or []
        paths = [_file_of(layer) for layer in (first, *further)]
        return [f"--out={folder}", "--", *paths]

    def folder(self, given: Given, context: QgsProcessingContext) -> str:
        """Return the folder of the results."""
        return str(self.parameterAsFileOutput(given, OUTPUT, context))

    def layer_outputs(self, results: Sequence[Result]) -> dict[str, object]:
        """Return the layers of the first raster."""
        return dict(zip((LABELS, SEGMENTS), (each.source for each in results)))


class Label(_OnRasters):
    """Labels rasters by clusters of their own."""

    words = "label"
    title = "Label raster"
    main = ("clusters", "preset", "overwrite")

    def name(self) -> str:
        """Return the id."""
        return "label"


class Apply(_OnRasters):
    """Labels rasters by clusters of before."""

    words = "apply"
    title = "Apply clusters"
    needed = ("clusters_from",)
    labels: ClassVar[Mapping[str, str]] = {"clusters_from": "Cluster model, clusters.npz of a run"}
    main = ("overwrite",)

    def name(self) -> str:
        """Return the id."""
        return "apply"


class _OnRun(ProgramAlgorithm):
    """Works on a finished run."""

    def run_parameter(self) -> QgsProcessingParameterFile:
        """Return the parameter of the run folder."""
        folder = QgsProcessingParameterFile.Folder
        return QgsProcessingParameterFile(RUN, "Folder of the results of a run", folder)

    def folder(self, given: Given, context: QgsProcessingContext) -> str:
        """Return the run folder."""
        return str(self.parameterAsFile(given, RUN, context))

    def initAlgorithm(self, configuration: object = None) -> None:
        """Define the parameters, and the folder for the next step of a model."""
        super().initAlgorithm(configuration)
        if self.outputDefinition(OUTPUT) is None:
            self.addOutput(QgsProcessingOutputFolder(OUTPUT, "Folder of the run"))


class Name(_OnRun):
    """Names clusters."""

    words = "clusters name"
    title = "Name clusters"
    own = frozenset({"seen"})
    main = ("from",)
    labels: ClassVar[Mapping[str, str]] = {"from": "File of names, CSV or JSON"}
    maps = "clusters"
    after_cancel = "Run it again with the same parameters, and it finishes the change."

    def name(self) -> str:
        """Return the id."""
        return "name"

    def own_parameters(self) -> Sequence[QgsProcessingParameterDefinition]:
        """Return the run folder and the names."""
        names = QgsProcessingParameterString(
            "NAMES", "Names, one in a line, such as 3=water", None, multiLine=True, optional=True
        )
        names.setHelp(
            "Names such as 3=water, one in a line or between semicolons; 3= takes it away."
        )
        return self.run_parameter(), names

    def own_arguments(
        self, folder: str, given: Given, context: QgsProcessingContext, log: QgsProcessingFeedback
    ) -> list[str]:
        """Return the run folder and the names."""
        names = names_of_clusters(self.parameterAsString(given, "NAMES", context))
        return ["--", folder, *names]


class Classify(_OnRun):
    """Gives segments the classes of samples."""

    words = "classify"
    title = "Classify from samples"
    own = frozenset({"samples", "field", "layer"})
    main = ("from_names", "suggest")
    labels: ClassVar[Mapping[str, str]] = {
        "from_names": "Names of clusters are samples too",
        "suggest": "Number of segments to label next",
        "model": "Class models, classes.npz of runs",
    }
    maps = "classes"
    after_cancel = "Run it again with the same parameters, and it finishes the change."

    def name(self) -> str:
        """Return the id."""
        return "classify"

    def own_parameters(self) -> Sequence[QgsProcessingParameterDefinition]:
        """Return the run folder, the samples, and their field."""
        return (
            self.run_parameter(),
            QgsProcessingParameterFeatureSource("SAMPLES", "Samples", optional=True),
            QgsProcessingParameterField(
                "FIELD", "Column with the class", None, "SAMPLES", optional=True
            ),
        )

    def own_arguments(
        self, folder: str, given: Given, context: QgsProcessingContext, log: QgsProcessingFeedback
    ) -> list[str]:
        """Return the samples, as a file that holds the chosen features, and the run folder."""
        typed: list[str] = []
        if given.get("SAMPLES"):
            path, layer = self.parameterAsCompatibleSourceLayerPathAndLayerName(
                given, "SAMPLES", context, ["gpkg", "shp", "geojson", "fgb"], "gpkg", log
            )
            typed += [f"--samples={path}", *([f"--layer={layer}"] if layer else [])]
        if field := self.parameterAsString(given, "FIELD", context):
            typed.append(f"--field={field}")
        return [*typed, "--", folder]

    def results(self, folder: str, values: Mapping[str, Value]) -> list[Result]:
        """List the maps of classes, and the segments to label next if they were asked for."""
        suggested = suggested_of(folder) if values["suggest"] else []
        return [*super().results(folder, values), *suggested]


class Export(_OnRun):
    """Exports a training set."""

    words = "export"
    title = "Export training set"
    own = frozenset({"out"})
    needed = ("to",)
    main = ("chip_size", "by", "values", "overwrite")
    labels: ClassVar[Mapping[str, str]] = {
        "to": "Format",
        "by": "Classes are",
        "values": "Values of the chips",
    }
    after_cancel = "Nothing was written."

    def name(self) -> str:
        """Return the id."""
        return "export"

    def own_parameters(self) -> Sequence[QgsProcessingParameterDefinition]:
        """Return the run folder and the folder of the set."""
        folder = QgsProcessingParameterFolderDestination(OUTPUT, "Folder of the training set")
        return self.run_parameter(), folder

    def folder(self, given: Given, context: QgsProcessingContext) -> str:
        """Return the folder of the set."""
        return str(self.parameterAsFileOutput(given, OUTPUT, context))

    def own_arguments(
        self, folder: str, given: Given, context: QgsProcessingContext, log: QgsProcessingFeedback
    ) -> list[str]:
        """Return the folder of the set and the run folder."""
        return [f"--out={folder}", "--", str(self.parameterAsFile(given, RUN, context))]


ALGORITHMS = (Label, Apply, Name, Classify, Export)
"""The algorithms, in the order of their use."""


def _file_of(layer: QgsMapLayer | None) -> str:
    """Return the source of a raster that GDAL reads."""
    if layer is None:
        raise QgsProcessingException("a raster cannot be opened; expected a file that GDAL reads")
    if layer.providerType() != "gdal":
        raise QgsProcessingException(
            f"{layer.name()} is a layer of {layer.providerType()}, expected a file that GDAL "
            "reads; Export > Save As makes one"
        )
    return str(layer.source())
