"""A finished run opened in Python: its scenes, segments, labels and clusters."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from html import escape
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.errors import RunError
from alps_geo.outputs.names import (
    LABELS,
    OVERVIEW,
    POLYGONS,
    REPORT,
    SEGMENTS,
    preview_file,
)
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.reading import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import geopandas as gpd
    import pandas as pd
    from affine import Affine
    from matplotlib.axes import Axes
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.runs.record import RunRecord

_PICTURES = 4
"""Scenes that a notebook shows of a run."""

_SHOWN = {"png": "image/png", "svg": "image/svg+xml"}
"""Formats of previews that a notebook shows, and their media types."""


@dataclass(frozen=True)
class Labels:
    """Cluster of every pixel of a window, on the scene's own grid.

    Attributes
    ----------
    values : masked array of uint8 or uint16, shape (height, width)
        Ids of clusters; pixels without one are masked.
    transform : affine.Affine
        From (col, row) in `values` to map coordinates.
    crs : rasterio.crs.CRS or None
        None for a scene without georeferencing.
    """

    values: np.ma.MaskedArray[Any, np.dtype[np.unsignedinteger]]
    transform: Affine
    crs: CRS | None


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run: its scenes, segments, labels and clusters, as they are on disk.

    Attributes
    ----------
    folder : pathlib.Path
        The run folder.
    """

    folder: Path

    @property
    def record(self) -> RunRecord:
        """The content of ``run.json``, read again each time: clusters may be changed meanwhile.

        Raises
        ------
        RunError
            The folder holds no finished run, or its record is damaged.
        """
        return read_record(RunFolder(self.folder))

    @property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes: those of their folders in the run folder."""
        return tuple(scene.name for scene in self.record.scenes)

    def segments(
        self,
        scene: str | None = None,
        *,
        bbox: tuple[float, float, float, float] | gpd.GeoDataFrame | gpd.GeoSeries | None = None,
        cluster: int | Iterable[int] | None = None,
    ) -> gpd.GeoDataFrame:
        """Read segments as polygons with their attributes.

        Parameters
        ----------
        scene : str, optional
            Not needed if the run has one scene.
        bbox : (west, south, east, north) or geopandas object, optional
            Segments that touch it, in the scene's CRS; a geopandas object is reprojected. The
            file's spatial index finds them, and nothing else is read.
        cluster : int or iterable of int, optional
            Segments of these clusters only.

        Returns
        -------
        geopandas.GeoDataFrame
            One row for each segment; see the README for its columns.

        Raises
        ------
        RunError
            The run has no such scene, or the file cannot be read.

        Examples
        --------
        >>> alps_geo.open_run("results").segments(cluster=[3, 5])  # doctest: +SKIP
        """
        from alps_geo.outputs.readers import read_polygons

        found = read_polygons(self._folder_of(scene) / POLYGONS, bbox, _ids(cluster))
        known = {each.name: each.crs for each in self.record.scenes}
        if known[self._name_of(scene)] is None:
            # GeoPackage has no layer without a CRS, and stands in an engineering one.
            return found.set_crs(None, allow_override=True)
        return found

    def labels(self, scene: str | None = None, window: Window | None = None) -> Labels:
        """Read the cluster of every pixel.

        Parameters
        ----------
        scene : str, optional
            Not needed if the run has one scene.
        window : rasterio.windows.Window, optional
            Part of the scene to read; by default all of it.

        Raises
        ------
        RunError
            The run has no such scene, or the file cannot be read.

        Examples
        --------
        >>> labels = alps_geo.open_run("results").labels()  # doctest: +SKIP
        >>> labels.values.shape, labels.crs  # doctest: +SKIP
        """
        from rasterio.windows import Window

        from alps_geo.outputs.readers import read_labels

        if window is not None and not isinstance(window, Window):
            raise TypeError(f"window is {window!r}, expected a rasterio.windows.Window")
        return Labels(*read_labels(self._folder_of(scene) / LABELS, window))

    def segment_ids(self, scene: str | None = None) -> Path:
        """Path of the raster of segment ids.

        Parameters
        ----------
        scene : str, optional
            Not needed if the run has one scene.

        Raises
        ------
        RunError
            The run has no such scene, or the file is gone.
        """
        path = self._folder_of(scene) / SEGMENTS
        if not path.exists():
            raise RunError(
                f"{path} does not exist; expected the segment ids of the run: "
                "give alps-geo label again with --force, which writes the results again"
            )
        return path

    @property
    def clusters(self) -> pd.DataFrame:
        """Clusters by id: name, colour, number of segments, area and share of the valid area.

        The area's column is ``area_m2``, or ``area_px`` where a scene has no ground area.
        """
        import pandas as pd

        table = pd.DataFrame([cluster.to_json() for cluster in self.record.clusters]).set_index(
            "cluster"
        )
        return table.rename(columns={"area": f"area_{self.record.area_unit}"})

    def name_clusters(self, names: Mapping[int, str]) -> pd.DataFrame:
        """Give clusters names in all results, and return the clusters; an empty name removes one.

        Raises
        ------
        RunError
            There is no such cluster, or edits of a person would be overwritten.

        Examples
        --------
        >>> run.name_clusters({3: "water", 5: "bare soil"})  # doctest: +SKIP
        """
        from alps_geo.review.relabel import name_clusters

        name_clusters(self.folder, names)
        return self.clusters

    def merge_clusters(self, *clusters: int, name: str | None = None) -> pd.DataFrame:
        """Make one cluster of several in all results, and return the clusters.

        It takes the lowest id, and the name that is given or that of the largest with one.

        Raises
        ------
        RunError
            As `name_clusters`.

        Examples
        --------
        >>> run.merge_clusters(3, 7, name="water")  # doctest: +SKIP
        """
        from alps_geo.review.relabel import merge_clusters

        merge_clusters(self.folder, clusters, name)
        return self.clusters

    def classify(
        self,
        *samples: str | PathLike[str],
        field: str | None = None,
        layers: Sequence[str] = (),
        model: str | PathLike[str] | None = None,
        classifier: str | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Give all segments the classes of a few samples, and return the classes.

        Parameters
        ----------
        *samples : path
            Vector files of points, lines or polygons, or rasters of classes.
        field : str, optional
            Column of the class in vector files.
        layers : sequence of str
            Layers of the vector files that have several.
        model : path, optional
            ``classes.npz`` of a classified run, whose samples count too.
        classifier : str, optional
            ``extra-trees``, ``random-forest`` or ``logistic``.
        seed : int, optional
            Of the classifier.

        Raises
        ------
        AlpsGeoError
            A file cannot be used, or edits of a person would be overwritten.

        Examples
        --------
        >>> run.classify("samples.gpkg", field="class")  # doctest: +SKIP
        """
        from alps_geo.review.class_model import ClassifyRequest
        from alps_geo.review.classify import classify_segments
        from alps_geo.review.sample_files import SampleFiles

        models = () if model is None else (Path(model),)
        files = SampleFiles(tuple(fspath(path) for path in samples), field, tuple(layers))
        request = ClassifyRequest(files, models=models, classifier=classifier, seed=seed)
        classify_segments(self.folder, request)
        return self.classes

    @property
    def classes(self) -> pd.DataFrame:
        """Classes by id, as `clusters`; empty before `classify`."""
        import pandas as pd

        names = ["id", "name", "color", "samples", "segments", "area", "share"]
        rows = [each.to_json() for each in self.record.classes or ()]
        table = pd.DataFrame(rows, columns=names).set_index("id")
        return table.rename(columns={"area": f"area_{self.record.area_unit}"})

    def report(self, page: str | PathLike[str] | None = None) -> Path:
        """Write one HTML page that shows the run and needs nothing else, and return its path.

        Parameters
        ----------
        page : path, optional
            File to write; by default ``report.html`` in the run folder.

        Raises
        ------
        RunError
            A file of the run cannot be read, or the page cannot be written.

        Examples
        --------
        >>> run.report()  # doctest: +SKIP
        """
        from alps_geo.review.report import make_report

        path = self.folder / REPORT if page is None else Path(page)
        make_report(self.folder, path)
        return path

    def plot(self, scene: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw the labels of a scene in their clusters' colours, with a legend.

        Parameters
        ----------
        scene : str, optional
            Not needed if the run has one scene.
        ax : matplotlib.axes.Axes, optional
            By default those of a new figure.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        RunError
            The run has no such scene, or the file cannot be read.
        """
        try:
            from alps_geo.outputs.matplotlib import plot_labels
        except ImportError as error:
            raise ImportError("plot needs matplotlib: pip install alps-geo[plot]") from error
        legend = {
            each.cluster: (each.name or str(each.cluster), each.color)
            for each in self.record.clusters
        }
        return plot_labels(self._folder_of(scene) / LABELS, legend, ax)

    def __repr__(self) -> str:
        noun = "scene" if self.record.folder is None else "split"
        scenes = f"{len(self.scenes)} {noun}{'s' if len(self.scenes) > 1 else ''}"
        segments, clusters = self.record.segments, len(self.record.clusters)
        return f"Run({str(self.folder)!r}: {scenes}, {segments} segments, {clusters} clusters)"

    def _repr_html_(self) -> str:
        """Show the previews and the table of clusters in a notebook."""
        pictures = "".join(map(self._picture, self.scenes[:_PICTURES]))
        more = len(self.scenes) - _PICTURES
        rest = f"<p>and {more} scenes more</p>" if more > 0 else ""
        return f"<p><b>{escape(str(self.folder))}</b></p>{pictures}{rest}{self.clusters.to_html()}"

    def _picture(self, scene: str) -> str:
        previews = [self.folder / scene / preview_file(form) for form in _SHOWN]
        if self.record.folder is not None:
            previews = [self.folder / OVERVIEW / f"{scene}.png"]
        preview = next(filter(Path.exists, previews), None)
        if preview is None:
            return f"<p>{escape(scene)}</p>"
        data = b64encode(preview.read_bytes()).decode()
        source = f"data:{_SHOWN[preview.suffix[1:]]};base64,{data}"
        return f'<img alt="{escape(scene)}" style="max-width: 100%" src="{source}">'

    def _name_of(self, scene: str | None) -> str:
        if scene is None and len(self.scenes) == 1:
            return self.scenes[0]
        if scene not in self.scenes:
            given = "no scene is named" if scene is None else f"there is no scene {scene!r}"
            raise RunError(f"{self.folder}: {given}; expected one of {', '.join(self.scenes)}")
        return scene

    def _folder_of(self, scene: str | None) -> Path:
        if (found := self.record.folder) is not None:
            raise RunError(
                f"{self.folder}: this run is over a folder of images, which has no maps; its masks "
                f"lie in {self.folder / found.settings.mask_dir}"
            )
        return self.folder / self._name_of(scene)


def _ids(cluster: int | Iterable[int] | None) -> list[int] | None:
    if cluster is None:
        return None
    return (
        [int(cluster)] if isinstance(cluster, int | np.integer) else [int(each) for each in cluster]
    )
