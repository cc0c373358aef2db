"""The library as one uses it from Python: label, fit, apply, and finished runs.

`alps_geo` hands these on: ``import alps_geo; alps_geo.label("scene.tif", clusters=12)``.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from html import escape
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alps_geo.datasets import find_scenes
from alps_geo.errors import RunError
from alps_geo.events import Event
from alps_geo.ipython import in_notebook, notebook_bar
from alps_geo.pipeline import fit_scenes, label_scenes
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.reading import read_record
from alps_geo.settings.keywords import settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import geopandas as gpd
    import pandas as pd
    from affine import Affine
    from matplotlib.axes import Axes
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.runs.record import RunRecord

    Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

_PICTURES = 4
"""Scenes that a notebook shows of a run."""

_LOG = logging.getLogger("alps_geo")


def label(
    paths: Paths,
    out: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    discard_edits: bool = False,
    strict: bool = False,
    **settings: Any,
) -> Run:
    """Label rasters without annotations, and return the finished run.

    Parameters
    ----------
    paths : path, str or sequence of them
        Rasters, folders or globs. All scenes share one cluster model.
    out : path, optional
        The run folder. By default the name of the first scene and ``.run``, in the current folder.
        A run that was stopped there goes on; one that has finished is only read.
    overwrite, force, discard_edits, strict : bool
        As in `alps_geo.runs.flags.RunFlags`.
    **settings
        Fields of `alps_geo.settings.LabelSettings`, such as ``clusters=12``; ``preset="alps"``
        for the published recipe, in which they change single values.

    Raises
    ------
    AlpsGeoError
        A scene, a model, a setting or the run folder cannot be used.
    TypeError
        There is no setting of that name.

    Examples
    --------
    >>> run = alps_geo.label("scene.tif", clusters=12)  # doctest: +SKIP
    >>> run.segments().plot("cluster")  # doctest: +SKIP
    """
    chosen = settings_from(settings)
    listen = _listener()
    scenes = _find(paths, listen)
    folder = Path(out) if out is not None else Path(f"{Path(scenes[0]).stem}.run")
    label_scenes(
        scenes,
        folder,
        chosen,
        RunFlags(overwrite, force, discard_edits, strict),
        listen=listen,
    )
    return open_run(folder)


def fit(
    paths: Paths,
    out: str | PathLike[str],
    *,
    overwrite: bool = False,
    force: bool = False,
    strict: bool = False,
    **settings: Any,
) -> Path:
    """Fit one cluster model to rasters, write it to `out` and return its path.

    Parameters
    ----------
    paths : path, str or sequence of them
        Rasters, folders or globs.
    out : path
        File for the model, such as ``model.npz``. Tiles are kept in ``<out>.run``.
    overwrite, force, strict : bool
        As in `alps_geo.runs.flags.RunFlags`.
    **settings
        As for `label`.

    Raises
    ------
    AlpsGeoError, TypeError
        As `label`.

    Examples
    --------
    >>> model = alps_geo.fit("scenes/", "model.npz", clusters=12)  # doctest: +SKIP
    >>> run = alps_geo.apply("other.tif", model)  # doctest: +SKIP
    """
    chosen = settings_from(settings)
    listen, model = _listener(), Path(out)
    fit_scenes(
        _find(paths, listen),
        model,
        model.with_name(f"{model.name}.run"),
        chosen,
        RunFlags(overwrite, force, strict=strict),
        listen=listen,
    )
    return model


def apply(
    paths: Paths,
    model: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    **settings: Any,
) -> Run:
    """Label rasters by a cluster model that was fitted before, so that clusters mean the same.

    Parameters
    ----------
    paths : path, str or sequence of them
        Rasters, folders or globs.
    model : path
        The file that `fit` wrote, or the ``clusters.npz`` of a run.
    out : path, optional
        As for `label`.
    **settings
        Keywords of `label`.

    Raises
    ------
    AlpsGeoError, TypeError
        As `label`.

    Examples
    --------
    >>> run = alps_geo.apply("other.tif", "model.npz")  # doctest: +SKIP
    >>> run.clusters  # doctest: +SKIP
    """
    return label(paths, out, clusters_from=fspath(model), **settings)


def open_run(folder: str | PathLike[str]) -> Run:
    """Open a finished run.

    Parameters
    ----------
    folder : path
        The ``--out`` of ``alps-geo label`` or ``apply``, or the `out` of `label` and `apply`.

    Raises
    ------
    RunError
        The folder holds no finished run, or its record is damaged.

    Examples
    --------
    >>> run = alps_geo.open_run("results")  # doctest: +SKIP
    >>> run.scenes  # doctest: +SKIP
    ('scene',)
    """
    return Run(read_record(RunFolder(Path(folder))), Path(folder))


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
    """A finished run: its scenes, segments, labels and clusters.

    Attributes
    ----------
    record : RunRecord
        The content of ``run.json``.
    folder : pathlib.Path
        The run folder.
    """

    record: RunRecord
    folder: Path

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

        return read_polygons(self._folder_of(scene) / "segments.gpkg", bbox, _ids(cluster))

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
        from alps_geo.outputs.readers import read_labels

        return Labels(*read_labels(self._folder_of(scene) / "labels.tif", window))

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """Clusters by id: name, colour, number of segments, area and share of the valid area.

        The area's column is ``area_m2``, or ``area_px`` where a scene has no ground area.
        """
        import pandas as pd

        table = pd.DataFrame([cluster.to_json() for cluster in self.record.clusters]).set_index(
            "cluster"
        )
        return table.rename(columns={"area": f"area_{self.record.area_unit}"})

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
        return plot_labels(self._folder_of(scene) / "labels.tif", legend, ax)

    def __repr__(self) -> str:
        scenes = f"{len(self.scenes)} scene{'s' if len(self.scenes) > 1 else ''}"
        segments, clusters = self.record.segments, len(self.record.clusters)
        return f"Run({str(self.folder)!r}: {scenes}, {segments} segments, {clusters} clusters)"

    def _repr_html_(self) -> str:
        """Show the previews and the table of clusters in a notebook."""
        pictures = "".join(map(self._picture, self.scenes[:_PICTURES]))
        more = len(self.scenes) - _PICTURES
        rest = f"<p>and {more} scenes more</p>" if more > 0 else ""
        return f"<p><b>{escape(str(self.folder))}</b></p>{pictures}{rest}{self.clusters.to_html()}"

    def _picture(self, scene: str) -> str:
        preview = self.folder / scene / "preview.png"
        if not preview.exists():
            return f"<p>{escape(scene)}</p>"
        data = b64encode(preview.read_bytes()).decode()
        return f'<img alt="{escape(scene)}" src="data:image/png;base64,{data}">'

    def _name_of(self, scene: str | None) -> str:
        if scene is None and len(self.scenes) == 1:
            return self.scenes[0]
        if scene not in self.scenes:
            given = "no scene is named" if scene is None else f"there is no scene {scene!r}"
            raise RunError(f"{self.folder}: {given}; expected one of {', '.join(self.scenes)}")
        return scene

    def _folder_of(self, scene: str | None) -> Path:
        return self.folder / self._name_of(scene)


def _ids(cluster: int | Iterable[int] | None) -> list[int] | None:
    if cluster is None:
        return None
    return (
        [int(cluster)] if isinstance(cluster, int | np.integer) else [int(each) for each in cluster]
    )


def _find(paths: Paths, listen: Callable[[Event], None]) -> tuple[str, ...]:
    listed = [paths] if isinstance(paths, str | PathLike) else paths
    return find_scenes(
        [fspath(path) for path in listed], lambda note: listen(Event("open", note=note))
    )


def _listener() -> Callable[[Event], None]:
    """Show a bar in a notebook; elsewhere give notes alone to the log."""
    return notebook_bar() if in_notebook() else _log


def _log(event: Event) -> None:
    if event.note:
        _LOG.warning("%s", f"{event.scene}: {event.note}" if event.scene else event.note)
