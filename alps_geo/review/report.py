"""Report of a finished run: one page of its maps, clusters, figures and notes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.ground import pixel_area
from alps_geo.outputs.names import LABELS
from alps_geo.outputs.report_page import (
    ReportClass,
    ReportCluster,
    ReportPage,
    ReportRun,
    ReportSizes,
    render_report,
    write_report_page,
)
from alps_geo.outputs.size_histogram import SizeAxis
from alps_geo.review.crops import draw_crops
from alps_geo.review.measurements import measurements
from alps_geo.review.picks import pick_segments
from alps_geo.review.report_scenes import find_scenes, report_scenes
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.outputs.gallery_page import Crop
    from alps_geo.review.report_scenes import FoundScenes
    from alps_geo.runs.record import RunRecord
    from alps_geo.runs.run import FinishedRun

MOST_BYTES = 14_000_000
"""Bytes of a page, unless the smallest pictures take more."""

_CROPS = ((60, 4), (150, 2), (400, 1))
"""Typical segments of each cluster, up to a number of clusters."""

_MOST_LISTED = 200


def make_report(
    path: Path,
    page: Path,
    listen: Callable[[int, int], None] = lambda _, __: None,
) -> tuple[str, ...]:
    """Show a finished run on one HTML page that needs nothing else.

    The page holds the maps of the scenes, the clusters with typical segments and sizes, classes,
    measurements that lie in the folder, time, settings, notes and failures. Of scenes that are gone
    or have changed it shows the labels, and the small picture that the run has kept.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    page : pathlib.Path
        File to write.
    listen : callable
        Called with the number of scenes that are drawn, and of all scenes that will be.

    Returns
    -------
    tuple of str
        Parts that the page does not show, with the reasons.

    Raises
    ------
    RunError
        If there is no finished run, or a file cannot be read or written.
    SceneError
        If the pixels of a scene that is there cannot be read.

    Examples
    --------
    >>> make_report(Path("results"), Path("results/report.html"))  # doctest: +SKIP
    """
    run = read_finished(RunFolder(path))
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        found = find_scenes(run)
        content = _page(run, found)
        budget = MOST_BYTES - len(render_report(content).encode())
        scenes = report_scenes(run, found, budget, listen)
    write_report_page(page, replace(content, scenes=scenes))
    return tuple(f"{scene.name}: {text}" for scene in scenes for text in scene.problems)


def _page(run: FinishedRun, found: FoundScenes) -> ReportPage:
    """Make the page of a run, without its scenes."""
    record = run.record
    sizes, counts = _sizes(run)
    crops = _crops(run, found)
    return ReportPage(
        title=run.folder.path.resolve().name,
        noun="scene" if record.folder is None else "split",
        segments=record.segments,
        labelled_share=record.labelled_share,
        area_unit=record.area_unit,
        scenes=(),
        clusters=tuple(
            ReportCluster(
                cluster=each.cluster,
                name=each.name,
                color=each.color,
                segments=each.segments,
                area=each.area,
                share=each.share,
                sizes=counts[each.cluster],
                crops=crops.get(each.cluster, ()),
            )
            for each in record.clusters
        ),
        classes=tuple(
            ReportClass(each.name, each.color, each.samples, each.segments, each.area, each.share)
            for each in record.classes or ()
        ),
        sizes=sizes,
        measurements=measurements(run),
        run=_circumstances(record),
    )


def _circumstances(record: RunRecord) -> ReportRun:
    settings = dict(record.origin.settings)
    if record.folder is not None:
        settings |= record.folder.settings.to_dict()
    shown = {name: _shown(value) for name, value in settings.items() if value is not None}
    weights = [record.origin.model, record.origin.backbone]
    digests = {f"weights of {each.name}": each.sha256 for each in weights if each is not None}
    failed = [str(failure) for failure in record.failed[:_MOST_LISTED]]
    if (more := len(record.failed) - len(failed)) > 0:
        failed.append(f"and {more:,} more, which run.json lists")
    return ReportRun(
        seconds=tuple((stage, float(seconds)) for stage, seconds in record.seconds.items()),
        settings=tuple(shown.items()),
        versions=tuple({**record.origin.versions, **digests}.items()),
        failed=tuple(failed),
        changes=record.changes or (),
    )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _crops(run: FinishedRun, found: FoundScenes) -> Mapping[int, tuple[Crop, ...]]:
    """Draw typical segments of each cluster, from the scenes that are as they were."""
    count = len(run.model.legend.palette)
    each = next((crops for most, crops in _CROPS if count <= most), 0)
    if not each or not found.opened:
        return {}
    chosen = pick_segments(run, found.opened, typical=each, doubtful=0)
    picks = [pick for typical, _ in chosen.values() for pick in typical]
    crops = draw_crops(run, found.opened, picks, lambda _, __: None)
    return {
        cluster: tuple(crops[pick] for pick in typical if pick in crops)
        for cluster, (typical, _) in chosen.items()
    }


def _sizes(run: FinishedRun) -> tuple[ReportSizes, Mapping[int, tuple[int, ...]]]:
    """Count segments by size, all of them and those of each cluster."""
    pixel, unit = _pixel_areas(run)
    areas: list[NDArray[np.float64]] = [np.empty(0)]
    clusters: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for name, table in run.tables.items():
        areas.append(pixel[name] * table.area[np.argsort(table.rows)].astype(np.float64))
        clusters.append(run.clusters.assign(name, table).cluster)
    area, cluster = np.concatenate(areas), np.concatenate(clusters)
    axis = SizeAxis.of(area, unit)
    quartiles = np.quantile(area, (0.25, 0.5, 0.75)) if len(area) else np.zeros(3)
    counts = {i: axis.count(area[cluster == i]) for i in run.model.legend.palette}
    return ReportSizes(axis, axis.count(area), tuple(quartiles.tolist())), counts


def _pixel_areas(run: FinishedRun) -> tuple[Mapping[str, float], str]:
    """Find the ground area of a pixel of each scene; 1 if that of any is not known."""
    names = [scene.name for scene in run.record.scenes]
    rasters = [run.folder.scene_folder(name) / LABELS for name in names]
    if run.record.area_unit == "px" or not all(path.exists() for path in rasters):
        return dict.fromkeys(names, 1.0), "px"
    areas = {}
    for name, path in zip(names, rasters, strict=True):
        with opened(str(path)) as raster:
            areas[name] = pixel_area(raster)
    return areas, "m²"
