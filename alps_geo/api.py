"""The library as one uses it from Python: label, fit, apply, and finished runs.

`alps_geo` hands these on: ``import alps_geo; alps_geo.label("scene.tif", clusters=12)``.
"""

from __future__ import annotations

import logging
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alps_geo.datasets import find_scenes
from alps_geo.events import Event
from alps_geo.fields import settings_of
from alps_geo.ipython import in_notebook, notebook_bar
from alps_geo.pipeline.images import label_images as label_folder
from alps_geo.pipeline.scenes import fit_scenes, label_scenes
from alps_geo.review.opened_run import Run
from alps_geo.runs.address import fit_place, local_path
from alps_geo.runs.flags import FLAG_NAMES, RunFlags
from alps_geo.runs.model_file import given_model
from alps_geo.runs.run import fitted_settings
from alps_geo.settings.folder import FolderSettings
from alps_geo.settings.keywords import available, settings_from

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alps_geo.masks.generator import MaskGenerator
    from alps_geo.settings import LabelSettings

    Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

_LOG = logging.getLogger("alps_geo")


def label(
    paths: Paths,
    out: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    discard_edits: bool = False,
    strict: bool = False,
    generator: MaskGenerator | None = None,
    **settings: Any,
) -> Run:
    """Label rasters without annotations, and return the finished run.

    Parameters
    ----------
    paths : path, str or sequence of them
        Rasters, folders or globs. All scenes share one cluster model.
    out : path, optional
        The run folder. By default the name of the first scene and ``.run``, in the current folder.
        A run that was stopped there goes on; one that has finished is only read. Only the program
        writes into object stores.
    overwrite, force, discard_edits, strict : bool
        As in `alps_geo.runs.flags.RunFlags`.
    generator : MaskGenerator, optional
        Finds the masks, in place of the setting ``model``.
    **settings
        Fields of `alps_geo.settings.LabelSettings`, such as ``clusters=12``; ``preset="alps"``
        for the published recipe, ``"draft"`` or ``"fine"``, in which they change single values.

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
    flags = RunFlags(overwrite, force, discard_edits, strict)
    return _label(paths, out, settings_from(settings, {}), flags, generator)


def label_images(
    root: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    strict: bool = False,
    generator: MaskGenerator | None = None,
    **settings: Any,
) -> Run:
    """Label the images of a folder without annotations, and write a mask for each.

    Parameters
    ----------
    root : path
        Folder of the images, such as ``root/img_dir/train/*.png``.
    out : path, optional
        Folder of the masks; by default `root`. A run that was stopped there goes on; one that has
        finished is only read.
    overwrite, force, strict : bool
        As in `alps_geo.runs.flags.RunFlags`.
    generator : MaskGenerator, optional
        Finds the masks, in place of the setting ``model``.
    **settings
        Fields of `alps_geo.settings.folder.FolderSettings`, such as ``splits=("train",)``, and of
        `alps_geo.settings.LabelSettings`, as for `label`.

    Raises
    ------
    AlpsGeoError, TypeError
        As `label`.

    Examples
    --------
    >>> run = alps_geo.label_images("chips", clusters=24, vis=True)  # doctest: +SKIP
    >>> run.clusters  # doctest: +SKIP
    """
    of_folder = settings_of(FolderSettings)
    for name in ("splits", "fit_on"):
        if isinstance(settings.get(name), str):
            settings[name] = (settings[name],)
    layout = FolderSettings.from_dict(settings)
    chosen = {name: value for name, value in settings.items() if name not in of_folder}
    source = local_path(fspath(root))
    folder = source if out is None else local_path(fspath(out))
    label_folder(
        source,
        folder,
        settings_from(chosen, {}, images=True),
        layout,
        RunFlags(overwrite, force, strict=strict),
        generator=generator,
        listen=_listener(),
    )
    return Run(folder)


def fit(
    paths: Paths,
    out: str | PathLike[str],
    *,
    overwrite: bool = False,
    force: bool = False,
    strict: bool = False,
    generator: MaskGenerator | None = None,
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
    generator : MaskGenerator, optional
        As for `label`.
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
    chosen = settings_from(settings, {}, writes=False)
    listen, model = _listener(), local_path(fspath(out))
    fit_scenes(
        _find(paths, listen),
        model,
        fit_place(model),
        chosen,
        RunFlags(overwrite, force, strict=strict),
        generator=generator,
        listen=listen,
    )
    return model


def apply(
    paths: Paths,
    model: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    generator: MaskGenerator | None = None,
    **settings: Any,
) -> Run:
    """Label rasters by a cluster model that was fitted before, so that clusters mean the same.

    Segments are made as those that the model was fitted to, unless a setting differs.

    Parameters
    ----------
    paths : path, str or sequence of them
        Rasters, folders or globs.
    model : path
        The file that `fit` wrote, or the ``clusters.npz`` of a run.
    out : path, optional
        As for `label`.
    generator : MaskGenerator, optional
        As for `label`.
    **settings
        Flags and settings of `label`, without those that decide the clusters: these are the
        model's.

    Raises
    ------
    AlpsGeoError, TypeError
        As `label`.

    Examples
    --------
    >>> run = alps_geo.apply("other.tif", "model.npz")  # doctest: +SKIP
    >>> run.clusters  # doctest: +SKIP
    """
    path = fspath(model)
    flags = RunFlags(**{name: settings.pop(name) for name in FLAG_NAMES if name in settings})
    fitted = fitted_settings(given_model(path))
    known = available(fits=False, writes=True)
    # JSON, which a model keeps its settings as, has lists for tuples.
    defaults = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fitted.items()
        if name in known
    }
    chosen = settings_from({**settings, "clusters_from": path}, defaults, fits=False)
    return _label(paths, out, chosen, flags, generator)


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
    run = Run(local_path(fspath(folder)))
    run.record  # noqa: B018 (raises if there is none)
    return run


def _label(
    paths: Paths,
    out: str | PathLike[str] | None,
    settings: LabelSettings,
    flags: RunFlags,
    generator: MaskGenerator | None,
) -> Run:
    listen = _listener()
    scenes = _find(paths, listen)
    folder = Path(f"{Path(scenes[0]).stem}.run") if out is None else local_path(fspath(out))
    label_scenes(scenes, folder, settings, flags, generator=generator, listen=listen)
    return open_run(folder)


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
        _LOG.warning("%s", event.noted)
