"""Bands of a scene as a trained network takes them: chosen, read and scaled as in its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.errors import SceneError, SettingsError
from alps_geo.scene import open_scene, read_tile
from alps_geo.scene.read import read_stored_tile
from alps_geo.training.chips import ChipPixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rasterio.windows import Window

    from alps_geo.scene import Scene
    from alps_geo.training.model import TrainedModel
    from alps_geo.training.predict_settings import PredictSettings

    NetworkInput = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class InputBands:
    """The bands of a scene that a network is given.

    Attributes
    ----------
    scene : Scene
        The scene.
    names : tuple of str or None
        Data bands in the order of the network's; None for the picture that SAM sees.
    note : str
        Assumption about them, else empty.
    """

    scene: Scene
    names: tuple[str, ...] | None
    note: str = ""

    @property
    def listed(self) -> tuple[str, ...]:
        """Names of the bands for people."""
        return ("red", "green", "blue") if self.names is None else self.names

    def read(self, window: Window, model: TrainedModel) -> ChipPixels:
        """Read a window at full resolution.

        Raises
        ------
        SceneError
            If a block cannot be read.
        """
        if self.names is None:
            pixels = read_tile(self.scene, window)
            return ChipPixels(np.moveaxis(pixels.image, -1, 0), pixels.valid, model.band_names)
        bands, valid = read_stored_tile(self.scene.in_order(self.names), window)
        return ChipPixels(bands, valid, model.band_names)

    def network_input(self, window: Window, model: TrainedModel) -> NetworkInput:
        """Read a window, scaled by the statistics of a model; errors are those of `read`."""
        pixels = self.read(window, model)
        return pixels.normalised(model.bands), pixels.valid


def open_input(path: str, model: TrainedModel, settings: PredictSettings) -> InputBands:
    """Open a scene, and choose the bands that a network is given.

    Parameters
    ----------
    path : str
        The raster.
    model : TrainedModel
        The model, which knows the names of its bands.
    settings : PredictSettings
        Settings of the imagery.

    Raises
    ------
    SceneError
        If the raster cannot be opened, or has too few bands.
    SettingsError
        If the settings do not go with the model.
    """
    is_picture = model.is_of_pictures
    if settings.stretch is not None and not is_picture:
        raise SettingsError(
            f"stretch is {settings.stretch[0]:g},{settings.stretch[1]:g}, but the model was "
            "trained on stored values, which are not stretched; leave it out"
        )
    scene = open_scene(
        path,
        bands=settings.bands if is_picture else None,
        nodata=settings.nodata,
        stretch=settings.stretch,
        alpha=settings.alpha,
    )
    if is_picture:
        if settings.bands is None and len(scene.band_names) < len(model.bands):
            raise _too_few(scene, model)
        return InputBands(scene, None)
    numbers = (1, 2, 3) if scene.palette is not None else scene.data_bands
    named = dict(zip(numbers, scene.band_names, strict=True))
    if settings.bands is not None:
        return InputBands(scene, _numbered(scene, model, settings.bands, named))
    names, note = _found(scene, model, named)
    return InputBands(scene, names, " ".join(filter(None, (note, _dtype_note(scene, model)))))


def _found(scene: Scene, model: TrainedModel, named: dict[int, str]) -> tuple[tuple[str, ...], str]:
    """Find the bands of a model by name, else by number, else by their order."""
    wanted = model.band_names
    if set(wanted) <= set(scene.band_names):
        return wanted, ""
    if len(scene.band_names) < len(wanted):
        raise _too_few(scene, model)
    if all(name.isdecimal() and int(name) in named for name in wanted):
        found = tuple(named[int(name)] for name in wanted)
        extra = len(scene.band_names) > len(wanted)
        note = f"of its bands {_listed(scene.band_names)} the model is given {_listed(found)}"
        return found, note if extra else ""
    if len(scene.band_names) > len(wanted):
        raise SceneError(
            f"{scene.path} has the bands {_listed(scene.band_names)}, but the model was trained on "
            f"{_listed(wanted)}; expected bands of these names: choose them by --bands"
        )
    note = (
        f"its bands are {_listed(scene.band_names)} and those of the model {_listed(wanted)}: they "
        "are taken in their order (else --bands)"
    )
    return scene.band_names, note


def _numbered(
    scene: Scene, model: TrainedModel, numbers: tuple[int, ...], named: dict[int, str]
) -> tuple[str, ...]:
    given = ",".join(map(str, numbers))
    if unknown := [each for each in numbers if each not in named]:
        raise SettingsError(
            f"bands is {given}, but {scene.path} has no data band {unknown[0]}; expected some of "
            f"{', '.join(map(str, named))}"
        )
    if len(numbers) != len(model.bands) or len(set(numbers)) != len(numbers):
        raise SettingsError(
            f"bands is {given}, expected {len(model.bands)} different numbers, for the model was "
            f"trained on {_listed(model.band_names)}"
        )
    return tuple(named[each] for each in numbers)


def _too_few(scene: Scene, model: TrainedModel) -> SceneError:
    count = len(scene.band_names)
    return SceneError(
        f"{scene.path} has {count} band{'s' * (count > 1)} ({_listed(scene.band_names)}), but the "
        f"model was trained on {len(model.bands)} ({_listed(model.band_names)}); give a scene with "
        "these, or a model of those"
    )


def _dtype_note(scene: Scene, model: TrainedModel) -> str:
    if scene.dtype == model.dtype:
        return ""
    return f"its values are {scene.dtype} and those of the training were {model.dtype}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
