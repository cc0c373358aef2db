"""The outputs of polygons in further formats: copies of the layers of the GeoPackages."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

import pyogrio
from pyogrio.raw import open_arrow, write_arrow

from alps_geo.errors import SettingsError
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.gpkg.lock import connected, database_errors
from alps_geo.outputs.gpkg.write import ERRORS
from alps_geo.outputs.names import PATCHES, POLYGONS
from alps_geo.outputs.output import Output

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.outputs.output import LabelledScene, SceneSource

LAYERS = {"segments": POLYGONS, "patches": PATCHES}
"""Layers that are copied, and their GeoPackages."""


class VectorCopies(Output):
    """Copies of the layers of segments and of patches in one format.

    They are written again with every change, from the GeoPackages, with what a person has edited
    there. A format is a derived class.

    Attributes
    ----------
    ending : str
        Ending of its files.
    """

    needs = (POLYGONS, PATCHES)
    follows_classes = True
    ending: ClassVar[str]

    def copy(self, geopackage: Path, layer: str, path: Path) -> None:
        """Copy a layer of a GeoPackage to a new file."""
        raise NotImplementedError

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:  # noqa: ARG002
        """Copy the layers."""
        self.rewrite(labelled)

    def rewrite(self, labelled: LabelledScene) -> None:
        """Copy the layers again."""
        for layer, name in LAYERS.items():
            geopackage, path = labelled.folder / name, labelled.folder / f"{layer}{self.ending}"
            with connected(geopackage) as database, database_errors(geopackage):
                # GDAL would leave the files of a killed process as they are.
                database.execute(f"SELECT count(*) FROM {layer}")
            with replacing(path) as part, run_errors(path, *ERRORS):
                self.copy(geopackage, layer, part)

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Copy the layers again: names of clusters are among their attributes."""
        self.rewrite(labelled)


class FlatGeobuf(VectorCopies):
    """``segments.fgb`` and ``patches.fgb``, with a spatial index."""

    format = "flatgeobuf"
    ending = ".fgb"
    files = tuple(f"{layer}.fgb" for layer in LAYERS)

    def copy(self, geopackage: Path, layer: str, path: Path) -> None:
        """Copy a layer some features at a time."""
        _stream(geopackage, layer, path, "FlatGeobuf")


class GeoJson(VectorCopies):
    """``segments.geojson`` and ``patches.geojson``, in longitude and latitude by RFC 7946.

    Layers without a CRS keep their coordinates.
    """

    format = "geojson"
    ending = ".geojson"
    files = tuple(f"{layer}.geojson" for layer in LAYERS)

    def copy(self, geopackage: Path, layer: str, path: Path) -> None:
        """Copy a layer some features at a time."""
        has_crs = pyogrio.read_info(geopackage, layer=layer)["crs"] is not None
        _stream(geopackage, layer, path, "GeoJSON", **({"RFC7946": "YES"} if has_crs else {}))


class GeoParquet(VectorCopies):
    """``segments.parquet`` and ``patches.parquet``: GeoParquet 1.1 with boxes of the features."""

    format = "geoparquet"
    ending = ".parquet"
    files = tuple(f"{layer}.parquet" for layer in LAYERS)

    def check_installed(self) -> None:
        """Check that pyarrow is installed."""
        if find_spec("pyarrow") is None:
            raise SettingsError(
                "formats has geoparquet, which needs the package pyarrow, and it is not installed; "
                "pip install 'alps-geo[parquet]' installs it"
            )

    def copy(self, geopackage: Path, layer: str, path: Path) -> None:
        """Copy a layer some features at a time."""
        self.check_installed()
        from alps_geo.outputs.pyarrow import write_geoparquet

        write_geoparquet(geopackage, layer, path)


def _stream(geopackage: Path, layer: str, path: Path, driver: str, **options: str) -> None:
    """Copy a layer by GDAL, which holds some features at a time."""
    with open_arrow(geopackage, layer=layer) as (meta, features), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        write_arrow(
            features,
            path,
            layer=layer,
            driver=driver,
            geometry_name=meta["geometry_name"],
            geometry_type="MultiPolygon",
            crs=meta["crs"],
            layer_options=options,
        )
