"""The contract of outputs: files that a run writes for each of its scenes, or once for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol

from affine import Affine

from alps_geo.clusters.overrides import override
from alps_geo.errors import RunError
from alps_geo.features.mapping import HERE
from alps_geo.outputs.provenance import Provenance
from alps_geo.scene.placed import map_transform
from alps_geo.segments.table import open_table, read_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

    from alps_geo.clusters.legend import Legend
    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.features.mapping import Mapper
    from alps_geo.fields.formats import ChosenFormats
    from alps_geo.scene import Scene
    from alps_geo.segments.stitch import Segments
    from alps_geo.segments.table import Attributes, SegmentTable


@dataclass(frozen=True)
class Place:
    """Place of a scene on the map, as its record has it.

    Attributes
    ----------
    crs : str or None
        CRS of the scene.
    transform : tuple of float or None
        First six coefficients of its transform; None if the raster of segments has it.
    """

    crs: str | None
    transform: tuple[float, ...] | None

    def transform_of(self, raster: DatasetReader) -> Affine:
        """Return the transform of the scene, whose segments are in an open raster."""
        return Affine(*self.transform) if self.transform else map_transform(raster)


@dataclass(frozen=True)
class LabelledScene:
    """A scene whose segments have clusters. Segments are read when they are first asked for.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the scene's results.
    segments_folder : pathlib.Path
        Folder of its segments, see `alps_geo.segments.table`.
    title : str
        Name of the scene on pictures.
    model : ClusterModel
        All clusters of the run, with those that this scene lacks.
    overrides : mapping of int to int
        Clusters that a person gave segments of this scene, by segment id.
    origin : Provenance
        Program, model, settings and date that the results tell of.
    results : frozenset of str
        Names of the results of this scene. A run of an earlier version gets no file that it
        lacked.
    place : Place
        Place of the scene on the map.
    simplify_by : float
        Detail of the polygons' borders to leave out, in metres, or in pixels without a CRS.
        Rasters stay as they are.
    has_classes : bool
        True if its segments have classes.
    found : Assigned or None
        Clusters of the segments by segment id, of a run that has just found them; None to apply the
        model when they are asked for.
    """

    folder: Path
    segments_folder: Path
    title: str
    model: ClusterModel
    overrides: Mapping[int, int] = field(default_factory=dict, kw_only=True)
    origin: Provenance = field(default=Provenance(), kw_only=True)
    results: frozenset[str] = field(default=frozenset(), kw_only=True)
    place: Place = field(default=Place(None, None), kw_only=True)
    simplify_by: float = field(default=0.0, kw_only=True)
    has_classes: bool = field(default=False, kw_only=True)
    found: Assigned | None = field(default=None, kw_only=True, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Name of the scene in its run: that of its folder."""
        return self.folder.name

    @property
    def segments(self) -> Segments:
        """The segments, by id.

        Raises
        ------
        RunError
            If they are absent or damaged; so do `attributes` and `assigned`.
        """
        return self._stored[0]

    @property
    def attributes(self) -> Attributes:
        """Attributes of the segments for users."""
        return self._stored[1]

    @cached_property
    def assigned(self) -> Assigned:
        """Clusters of the segments, by segment id."""
        if self.found is not None:
            return self.found
        return assign(self.model, open_table(self.segments_folder), self.overrides)

    @cached_property
    def _stored(self) -> tuple[Segments, Attributes]:
        return read_segments(self.segments_folder)


@dataclass(frozen=True)
class SceneSource:
    """Pixels and segment ids of a scene that is written for the first time.

    Attributes
    ----------
    scene : Scene
        The scene.
    blocks : iterable of (window, ids)
        The segment ids of the scene in pieces. They can be read once, by the output of
        ``segments.tif``; the others read that file.
    mapper : Mapper
        Maps the work of outputs that say so.
    """

    scene: Scene
    blocks: Iterable[tuple[Window, NDArray[np.uint32]]]
    mapper: Mapper = HERE


@dataclass(frozen=True)
class ShownScene:
    """A scene as GIS programs show it.

    Attributes
    ----------
    name : str
        Name of its folder in the run folder.
    title : str
        Name of the scene on pictures.
    path : str
        File, URL or GDAL dataset name.
    rgb : tuple of int
        Bands to show as red, green and blue, counted from 1.
    stretch : tuple of float or None
        Lowest and highest shown value of each of them, one after the other, in the units of the
        scene; empty to show stored values, None where a record of an earlier version is silent.
    labelled : LabelledScene
        Its segments and their clusters.
    """

    name: str
    title: str
    path: str
    rgb: tuple[int, ...]
    stretch: tuple[float, ...] | None
    labelled: LabelledScene


@dataclass(frozen=True)
class LabelledRun:
    """A run whose scenes, or images, have all their other results.

    Attributes
    ----------
    folder : pathlib.Path
        Folder to write to.
    home : pathlib.Path
        The run folder, in which the files are in the end.
    files : tuple of str
        Results of the run. Of those in the run folder, these are written alone.
    model : ClusterModel
        The clusters.
    scenes : tuple of ShownScene
        The scenes; none for a folder of images.
    classes : Legend or None
        The classes, if the segments have any.
    moves_segments : bool
        False if no segment has another cluster than in the files that are there.
    address : str
        Address to which the files are put in the end, such as ``s3://bucket/run``; empty for a run
        that stays in its folder.
    """

    folder: Path
    home: Path
    files: tuple[str, ...]
    model: ClusterModel
    scenes: tuple[ShownScene, ...] = ()
    classes: Legend | None = None
    moves_segments: bool = True
    address: str = ""

    @property
    def name(self) -> str:
        """Name of the folder, wherever it is."""
        return self.address.rpartition("/")[2] or self.home.absolute().name or "run"


class Output(Protocol):
    """A format of results.

    A new one is a class in a module of its own, derived from this one, and an instance of it in
    `alps_geo.outputs.results.OUTPUTS`. Names in run folders, checks, rewriting and removal follow
    from that list. A method that a format doesn't define does nothing.

    Attributes
    ----------
    files : tuple of str
        Names of its files in the folder of each scene.
    run_files : tuple of str
        Names of its files in the run folder, which no scene can have.
    is_map : bool
        True if the files in the run folder show places: a run over images has none of them.
    needs : tuple of str
        Files of other outputs that it is made of: it is written after them.
    format : str
        Name in ``formats`` by which it is chosen; empty for one that is always written.
    follows_classes : bool
        True if its files hold classes too: they are written again when these change.
    is_mapped : bool
        True if it shares out its work by the mapper of its source. Others are written by one
        process each, at the same time.

    Examples
    --------
    >>> class ClusterList(Output):
    ...     files = ("clusters.txt",)
    ...
    ...     def write(self, labelled, source):
    ...         (labelled.folder / "clusters.txt").write_text(str(labelled.model.legend.ids))
    """

    files: ClassVar[tuple[str, ...]] = ()
    run_files: ClassVar[tuple[str, ...]] = ()
    is_map: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    format: ClassVar[str] = ""
    follows_classes: ClassVar[bool] = False
    is_mapped: ClassVar[bool] = False

    def files_in(self, chosen: ChosenFormats) -> tuple[str, ...]:
        """Return the names of its files in the folder of a scene, in formats that are chosen."""
        return self.files

    def check_installed(self) -> None:
        """Check that the packages are installed that it is written with.

        Raises
        ------
        SettingsError
            If one is absent.
        """
        return

    def check(self, labelled: LabelledScene) -> None:
        """Check that the files of a scene can be written again, before anything is changed.

        Raises
        ------
        RunError
            If a file that rewriting needs is absent.
        """
        return

    def write(self, labelled: LabelledScene, source: SceneSource) -> None:
        """Write the files of a scene, each whole or not at all.

        Raises
        ------
        RunError
            If a file cannot be written.
        """
        return

    def rewrite(self, labelled: LabelledScene) -> None:
        """Write the files of a scene again after its segments have changed clusters.

        Raises
        ------
        RunError
            If a file cannot be read or written.
        """
        return

    def rewrite_legend(self, labelled: LabelledScene) -> None:
        """Write names and colours of clusters again where all segments keep their clusters.

        Raises
        ------
        RunError
            If a file cannot be read or written.
        """
        return

    def write_run(self, run: LabelledRun) -> None:
        """Write the files in the run folder, after those of all scenes, at first and again.

        Raises
        ------
        RunError
            If a file cannot be written.
        """
        return


def assign(model: ClusterModel, table: SegmentTable, overrides: Mapping[int, int]) -> Assigned:
    """Find the clusters of the segments of a scene, by segment id.

    Parameters
    ----------
    model : ClusterModel
        The cluster model.
    table : SegmentTable
        The segments.
    overrides : mapping of int to int
        Clusters that a person gave segments, by segment id.
    """
    return by_segment(model.apply(table), table, overrides)


def by_segment(assigned: Assigned, table: SegmentTable, overrides: Mapping[int, int]) -> Assigned:
    """Put clusters of the rows of a table in the order of segment ids, with overrides.

    Parameters
    ----------
    assigned : Assigned
        Clusters that the model gives the rows.
    table, overrides
        As for `assign`.
    """
    return override(assigned, table.rows, overrides).by_id(table.rows)


def check_present(path: Path) -> None:
    """Raise RunError if a file of a finished run is absent."""
    if not path.is_file():
        raise RunError(
            f"{path} is absent, expected that of a finished run: "
            "run alps-geo label there again with --force"
        )
