"""Export of a finished run: training sets of its scenes and labels, for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo import __version__
from alps_geo.errors import SettingsError
from alps_geo.outputs.labelled_images import LabelledImages
from alps_geo.outputs.training_set.classes import classes_of
from alps_geo.outputs.training_set.formats import FORMATS
from alps_geo.outputs.training_set.images import ImageSources
from alps_geo.outputs.training_set.maps import MapSource
from alps_geo.outputs.training_set.record import SetOrigin, check_folder
from alps_geo.outputs.training_set.write import SetRequest, write_training_set
from alps_geo.review.scenes import open_labelled
from alps_geo.runs.classes import given_classes
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.labelled import labelled_scene, legend_of_classes
from alps_geo.runs.run import read_finished
from alps_geo.scene import open_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from alps_geo.events import Event
    from alps_geo.outputs.training_set.classes import ClassTable
    from alps_geo.outputs.training_set.record import TrainingSet
    from alps_geo.outputs.training_set.settings import ExportSettings
    from alps_geo.outputs.training_set.source import ChipSource
    from alps_geo.runs.run import FinishedRun
    from alps_geo.scene import Scene


def export_run(
    path: Path,
    to: str,
    out: Path,
    settings: ExportSettings,
    *,
    overwrite: bool = False,
    listen: Callable[[Event], None] = lambda _: None,
) -> TrainingSet:
    """Write a training set of the scenes, or images, and labels of a finished run.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    to : str
        Name of a format in `alps_geo.outputs.training_set.formats.FORMATS`.
    out : pathlib.Path
        Folder of the set; it appears when all is written.
    settings : ExportSettings
        Chips, splits and classes.
    overwrite : bool
        True to replace a training set that is there.
    listen : callable
        Given the events of the export.

    Raises
    ------
    RunError
        If there is no finished run, `out` is taken, or a file cannot be read or written.
    SceneError
        If a scene is gone or has changed.
    SettingsError
        If a setting or the format does not go with the run.

    Examples
    --------
    >>> export_run(Path("results"), "coco", Path("set"), ExportSettings())  # doctest: +SKIP
    """
    chosen = next((each for each in FORMATS if each.name == to), None)
    if chosen is None:
        known = ", ".join(each.name for each in FORMATS)
        raise SettingsError(f"to is {to!r}, expected one of {known}")
    check_folder(out, overwrite=overwrite)
    run = read_finished(RunFolder(path))
    classes = classes_of(run.model.legend, settings, legend_of_classes(run.record))
    sources = _sources(run, settings, of_run=classes.of_run)
    origin = SetOrigin(
        __version__, str(path.absolute()), run.record.origin.model.name, run.model.stamp
    )
    notes = _class_notes(classes)
    request = SetRequest(chosen, sources, classes, settings, origin, notes)
    return write_training_set(request, out, overwrite=overwrite, listen=listen)


def _sources(run: FinishedRun, settings: ExportSettings, *, of_run: bool) -> Sequence[ChipSource]:
    """Give the scenes of a run with their clusters or classes, or the images of all its splits."""
    folder, images = run.folder, run.record.folder
    if images is None:
        return tuple(
            MapSource(
                record.name,
                _opened(run, number, settings),
                labelled_scene(folder, folder, run.record, record, run.clusters),
                given_classes(folder, record.name).ids if of_run else None,
            )
            for number, record in enumerate(run.record.scenes)
        )
    splits = [
        LabelledImages(
            folder.path, folder.segments_folder(split.name), split.name, run.model, images.files
        )
        for split in run.record.scenes
    ]
    return ImageSources(splits, None if settings.is_native else settings.bands)


def _opened(run: FinishedRun, number: int, settings: ExportSettings) -> Scene:
    """Open a scene, with the bands that pictures are to have."""
    scene = open_labelled(run, run.record.scenes[number])
    if settings.is_native or settings.bands is None:
        return scene
    reading = run.record.origin.reading
    return open_scene(
        scene.path,
        bands=settings.bands,
        nodata=reading.nodata,
        stretch=reading.stretch,
        alpha=reading.alpha,
    )


def _class_notes(classes: ClassTable) -> tuple[str, ...]:
    """Note the clusters that are unlabelled because they have no name."""
    unnamed = [str(each) for each in classes.unnamed]
    if not unnamed:
        return ()
    several = len(unnamed) > 1
    return (
        f"cluster{'s' * several} {', '.join(unnamed)} {'have' if several else 'has'} no name and "
        f"{'are' if several else 'is'} unlabelled",
    )
