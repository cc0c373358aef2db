"""The list of outputs, and the results of a scene: written, written again, and measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from graphlib import TopologicalSorter
from itertools import chain
from typing import TYPE_CHECKING

import rasterio

from alps_geo.features.mapping import HERE
from alps_geo.fields.formats import ALL_FORMATS, ChosenFormats
from alps_geo.files import GDAL_CACHE_BYTES
from alps_geo.outputs.cluster_model import ModelFile
from alps_geo.outputs.cluster_table import ClusterTable
from alps_geo.outputs.gpkg.contents import read_contents
from alps_geo.outputs.gpkg.patches import PatchPolygons
from alps_geo.outputs.gpkg.segments import SegmentPolygons
from alps_geo.outputs.id_rasters import (
    LabelsRaster,
    LabelsStyle,
    SegmentsRaster,
    SegmentsStyle,
)
from alps_geo.outputs.image_masks import InstanceMasks
from alps_geo.outputs.image_pictures import ImagePictures, SplitOverview
from alps_geo.outputs.labelled_images import LabelledImages
from alps_geo.outputs.measures import SceneResults, count, measure
from alps_geo.outputs.names import POLYGONS
from alps_geo.outputs.preview import Preview
from alps_geo.outputs.project import Project
from alps_geo.outputs.stac import Stac
from alps_geo.outputs.vector_copies import FlatGeobuf, GeoJson, GeoParquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alps_geo.outputs.gpkg.contents import Contents
    from alps_geo.outputs.labelled_images import ImageOutput
    from alps_geo.outputs.mask_files import PlannedImages
    from alps_geo.outputs.output import LabelledRun, LabelledScene, Output, SceneSource

OUTPUTS: list[Output] = [
    ModelFile(),
    LabelsRaster(),
    LabelsStyle(),
    SegmentsRaster(),
    SegmentsStyle(),
    SegmentPolygons(),
    PatchPolygons(),
    GeoParquet(),
    FlatGeobuf(),
    GeoJson(),
    Preview(),
    ClusterTable(),
    Project(),
    Stac(),
]
"""The formats that a run writes, in the order in which its record lists their files."""

IMAGE_OUTPUTS: list[ImageOutput] = [SplitOverview(), InstanceMasks(), ImagePictures()]
"""The formats that a run over a folder of images writes for each split."""


def scene_files(chosen: ChosenFormats = ALL_FORMATS) -> tuple[str, ...]:
    """List the names of the results in the folder of a scene, of some formats or of all."""
    return tuple(name for output in _chosen(chosen) for name in output.files_in(chosen))


def run_files(chosen: ChosenFormats = ALL_FORMATS, *, images: bool = False) -> tuple[str, ...]:
    """List the names of the results in the run folder itself, of a run over scenes or images."""
    listed = [output for output in _chosen(chosen) if not (images and output.is_map)]
    return tuple(name for output in listed for name in output.run_files)


def image_files(planned: PlannedImages) -> Iterator[str]:
    """List the results of the images of a split, relative to the run folder."""
    for output in IMAGE_OUTPUTS:
        yield from output.names(planned)


@dataclass(frozen=True)
class WrittenScene:
    """Results of a scene that have been written.

    Attributes
    ----------
    measures : SceneResults
        Counts and areas.
    polygons : Contents or None
        Contents of ``segments.gpkg``; None if there is none.
    """

    measures: SceneResults
    polygons: Contents | None


def write_results(labelled: LabelledScene, source: SceneSource) -> WrittenScene:
    """Write all results of a scene.

    Parameters
    ----------
    labelled : LabelledScene
        The segments, their clusters, and the folder to write to, which is made if need be.
    source : SceneSource
        Pixels of the scene and ids of its segments. If the scene's ``simplify_by`` is not 0, all
        its polygons are held at once.

    Raises
    ------
    RunError
        If a file cannot be written; each file is then whole or absent.
    """
    outputs = _of_scene(labelled)
    here = [output for output in outputs if not output.needs or output.is_mapped]
    for output in here:
        output.write(labelled, source)
    has_polygons = POLYGONS in labelled.results
    others = _chains([output for output in outputs if output not in here])
    chains: list[_Chain] = [_READ_POLYGONS] * has_polygons + others
    writing = partial(_writing, labelled, replace(source, blocks=(), mapper=HERE))
    found = list(source.mapper.map(writing, chains))
    return WrittenScene(measure(labelled), found[0] if has_polygons else None)


_Chain = tuple["Output", ...]
"""Outputs that are written one after the other."""

_READ_POLYGONS: _Chain = ()
"""In place of outputs: read the contents of the polygons that have been written."""


def _writing(labelled: LabelledScene, source: SceneSource) -> Callable[[_Chain], Contents | None]:
    """Return the writing of outputs, or the reading of the polygons."""

    def write(outputs: _Chain) -> Contents | None:
        if outputs == _READ_POLYGONS:
            return read_contents(labelled.folder / POLYGONS)
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
            for output in outputs:
                output.write(labelled, source)
        return None

    return write


def _chains(outputs: Sequence[Output]) -> list[_Chain]:
    """Divide outputs, in their order, into chains of which none needs another."""
    chains: list[_Chain] = []
    for output in outputs:
        needs = {*output.needs}
        needed = [c for c in chains if any(needs.intersection(other.files) for other in c)]
        chains = [c for c in chains if c not in needed]
        chains.append((*chain.from_iterable(needed), output))
    return chains


def rewrite_results(labelled: LabelledScene) -> SceneResults:
    """Write the results of a scene again, of a model that gives its segments other clusters.

    The polygons are changed in place before: see `alps_geo.outputs.gpkg.update`.

    Raises
    ------
    RunError
        If a file is absent, damaged or cannot be written; each of them is whole, old or new.
    """
    if isinstance(labelled, LabelledImages):
        return write_image_results(labelled)
    for output in _of_scene(labelled):
        output.rewrite(labelled)
    return measure(labelled)


def write_image_results(labelled: LabelledImages) -> SceneResults:
    """Write the masks of the images of a split, and pictures of them, at first and again.

    Raises
    ------
    RunError
        If a file is absent, damaged or cannot be written; each of them is whole, old or new.
    SceneError
        If an image that is to be drawn cannot be read.
    """
    for output in IMAGE_OUTPUTS:
        output.write(labelled)
    return count(labelled)


def rewrite_legends(labelled: LabelledScene) -> None:
    """Write names and colours of clusters again, where every segment keeps its cluster.

    The polygons are changed in place before: see `alps_geo.outputs.gpkg.update`.

    Raises
    ------
    RunError
        If a file is absent, damaged or cannot be written; each of them is whole, old or new.
    """
    if isinstance(labelled, LabelledImages):
        for image_output in IMAGE_OUTPUTS:
            image_output.write_legend(labelled)
        return
    for output in _of_scene(labelled):
        output.rewrite_legend(labelled)


def check_rewritable(labelled: LabelledScene) -> None:
    """Check that the results of a scene can be written again, before anything is changed.

    Raises
    ------
    RunError
        If a file is absent.
    """
    if isinstance(labelled, LabelledImages):
        for image_output in IMAGE_OUTPUTS:
            image_output.check(labelled)
        return
    for output in _of_scene(labelled):
        output.check(labelled)


def write_run_files(run: LabelledRun) -> None:
    """Write the results in the run folder itself, after those of its scenes.

    A run of an earlier version gets no file that it lacked.

    Raises
    ------
    RunError
        If a file cannot be written.
    """
    for output in _in_order():
        if set(output.run_files) <= set(run.files):
            output.write_run(run)


def follow_classes(labelled: LabelledScene) -> None:
    """Write the results of a scene again that hold its classes, after these have changed.

    Raises
    ------
    RunError
        If a file is absent, damaged or cannot be written; each of them is whole, old or new.
    """
    for output in _of_scene(labelled):
        if output.follows_classes:
            output.rewrite(labelled)


def check_formats(chosen: ChosenFormats) -> None:
    """Check that formats that a user has chosen can be written here.

    Raises
    ------
    SettingsError
        If a package is absent.
    """
    for output in _chosen(chosen):
        output.check_installed()


def _chosen(chosen: ChosenFormats) -> list[Output]:
    """List the outputs of some formats, with those that are always written."""
    return [each for each in OUTPUTS if not each.format or each.format in chosen.formats]


def _of_scene(labelled: LabelledScene) -> list[Output]:
    """Sort the outputs of which a scene has files."""
    return [output for output in _in_order() if labelled.results.intersection(output.files)]


def _in_order() -> list[Output]:
    """Sort the outputs so that each comes after those whose files it needs."""
    by_file = {name: output for output in OUTPUTS for name in output.files}
    graph = {output: [by_file[name] for name in output.needs] for output in OUTPUTS}
    return list(TopologicalSorter(graph).static_order())
