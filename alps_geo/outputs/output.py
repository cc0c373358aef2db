"""The contract of outputs: files that a run writes for each of its scenes, or once for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol

from alps_geo.clusters.overrides import override
from alps_geo.errors import RunError
from alps_geo.segments.table import open_table, read_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.clusters.model import ClusterModel
    from alps_geo.clusters.tree import Assigned
    from alps_geo.scene import Scene
    from alps_geo.segments.stitch import Segments
    from alps_geo.segments.table import Attributes, SegmentTable


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
    preview_formats : tuple of str
        Formats of its preview, of `alps_geo.fields.formats.PREVIEW_FORMATS`.
    """

    folder: Path
    segments_folder: Path
    title: str
    model: ClusterModel
    overrides: Mapping[int, int] = field(default_factory=dict, kw_only=True)
    preview_formats: tuple[str, ...] = field(default=("png",), kw_only=True)

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
    simplify_by : float
        Detail of the polygons' borders to leave out, in metres, or in pixels without a CRS.
        Rasters stay as they are.
    """

    scene: Scene
    blocks: Iterable[tuple[Window, NDArray[np.uint32]]]
    simplify_by: float = 0.0


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
    needs : tuple of str
        Files of other outputs that it is made of: it is written after them.

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
    needs: ClassVar[tuple[str, ...]] = ()

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

    def write_run(self, folder: Path, model: ClusterModel) -> None:
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
    return override(model.apply(table), table.rows, overrides).by_id(table.rows)


def check_present(path: Path) -> None:
    """Raise RunError if a file of a finished run is absent."""
    if not path.is_file():
        raise RunError(
            f"{path} is absent, expected that of a finished run: "
            "run alps-geo label there again with --force"
        )
