"""The page of a run: its maps, clusters, figures and notes, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.outputs.area_units import area_unit
from alps_geo.outputs.pages import render

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.outputs.gallery_page import Crop
    from alps_geo.outputs.map_layers import SceneLayers
    from alps_geo.outputs.size_histogram import SizeAxis


@dataclass(frozen=True)
class ReportScene:
    """A scene of a run, or a split of a folder of images.

    Attributes
    ----------
    name, path : str
        Name of its folder in the run folder, and the raster or folder.
    facts : tuple of str
        Size, CRS, bands and segments, for people.
    notes : tuple of str
        Notes of the run on it.
    problems : tuple of str
        Parts that the page cannot show, with the reasons.
    layers : SceneLayers or None
        Its pictures; None without any.
    """

    name: str
    path: str
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    layers: SceneLayers | None


@dataclass(frozen=True)
class ReportCluster:
    """A cluster of a run.

    Attributes
    ----------
    cluster : int
        Id of the cluster.
    name : str
        Name of the cluster; empty for none.
    color : str
        Colour in CSS.
    segments : int
        Number of its segments.
    area, share : float
        Its area, and its share of the area with data.
    sizes : tuple of int
        Segments in each bin of the axis of sizes.
    crops : tuple of Crop
        Typical segments.
    """

    cluster: int
    name: str
    color: str
    segments: int
    area: float
    share: float
    sizes: tuple[int, ...]
    crops: tuple[Crop, ...]


@dataclass(frozen=True)
class ReportClass:
    """A class of a run; the fields are those of `alps_geo.runs.parts.ClassRecord`."""

    name: str
    color: str
    samples: int
    segments: int
    area: float
    share: float


@dataclass(frozen=True)
class ReportTable:
    """A table of a measurement.

    Attributes
    ----------
    title : str
        Its heading.
    notes : tuple of str
        Sentences below the heading.
    header : tuple of str
        Titles of the columns; the first column holds names.
    rows : tuple of tuple of str
        The cells.
    """

    title: str
    notes: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ReportSizes:
    """Sizes of all segments.

    Attributes
    ----------
    axis : SizeAxis
        The axis of the histograms.
    counts : tuple of int
        Segments in each bin.
    quartiles : tuple of float
        First quartile, median and third quartile of the areas.
    """

    axis: SizeAxis
    counts: tuple[int, ...]
    quartiles: tuple[float, ...]


@dataclass(frozen=True)
class ReportRun:
    """Circumstances of a run.

    Attributes
    ----------
    seconds : tuple of (str, float)
        Time of each stage.
    settings, versions : tuple of (str, str)
        Settings and versions of programs, by name.
    failed : tuple of str
        Tiles, images and scenes that failed, with the reasons.
    changes : tuple of str
        Changes of the clusters, as commands.
    """

    seconds: tuple[tuple[str, float], ...]
    settings: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    failed: tuple[str, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True)
class ReportPage:
    """Content of the page of a run.

    Attributes
    ----------
    title : str
        Name of the run.
    noun : str
        ``scene`` or ``split``.
    segments : int
        Number of all segments.
    labelled_share : float
        Share of the area with data that carries a label.
    area_unit : str
        ``m2`` or ``px``.
    scenes : tuple of ReportScene
        The scenes.
    clusters : tuple of ReportCluster
        The clusters, by id.
    classes : tuple of ReportClass
        The classes; empty without any.
    sizes : ReportSizes
        Sizes of the segments.
    measurements : tuple of ReportTable
        Quality and accuracy.
    run : ReportRun
        Circumstances of the run.
    """

    title: str
    noun: str
    segments: int
    labelled_share: float
    area_unit: str
    scenes: tuple[ReportScene, ...]
    clusters: tuple[ReportCluster, ...]
    classes: tuple[ReportClass, ...]
    sizes: ReportSizes
    measurements: tuple[ReportTable, ...]
    run: ReportRun

    @property
    def map_legends(self) -> dict[str, list[tuple[str, str]]]:
        """Colour and meaning of each id, by the title of the map."""
        numbered = [
            (each.color, f"cluster {each.cluster}" + (f": {each.name}" if each.name else ""))
            for each in self.clusters
        ]
        return {
            "clusters": numbered,
            "classes": [(each.color, f"class {each.name}") for each in self.classes],
        }


def render_report(page: ReportPage) -> str:
    """Return the page as HTML that needs nothing else; the same content gives the same text."""
    largest = max((each.area for each in page.clusters), default=0.0)
    unit = area_unit(largest, page.area_unit)
    return render(
        "report.html",
        page=page,
        unit=unit.name,
        area=unit.shown,
        total_seconds=sum(seconds for _, seconds in page.run.seconds),
    )


def write_report_page(path: Path, page: ReportPage) -> None:
    """Write the page.

    Parameters
    ----------
    path : pathlib.Path
        File to write; one that is there is replaced at the end.
    page : ReportPage
        Its content.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    write_bytes(path, render_report(page).encode())
