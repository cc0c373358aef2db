"""The marks of invalid pixels that a file carries: alpha, GDAL masks, nodata, transparency."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from alps_geo.errors import SceneError
from alps_geo.scene.alpha import (
    SOFT_EDGE,
    AlphaSample,
    alpha_cores,
    is_blank_below,
    is_partial,
    is_ramp,
    is_true_alpha,
)
from alps_geo.scene.raster import (
    Layers,
    Palette,
    Pixels,
    read_whole,
    read_window,
    readable_pieces,
)
from alps_geo.scene.read import fit
from alps_geo.scene.validity import can_hold
from alps_geo.windows import buffered, whole, within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rasterio.io import DatasetReader
    from rasterio.windows import Window

# The look at all of a band that is tagged as alpha: longest side in pixels.
_LOOK_SIDE = 1024

_NUMBERS_OF_COLORS = ("uint8", "uint16")


@dataclass(frozen=True)
class AlphaChoice:
    """Bands of transparency, counted from 1, and the assumptions about them."""

    bands: tuple[int, ...]
    notes: tuple[str, ...] = ()


def true_alpha(
    dataset: DatasetReader,
    path: str,
    tags: Sequence[ColorInterp],
    chosen: tuple[int, ...],
    setting: str,
) -> AlphaChoice:
    """Find the bands that are tagged as alpha and are transparency, without `chosen` ones.

    Parameters
    ----------
    setting : str
        auto, yes or no: yes takes all that are tagged for transparency, no takes none.
    """
    tagged = [
        band
        for band, tag in enumerate(tags, start=1)
        if tag is ColorInterp.alpha and band not in chosen
    ]
    if setting == "yes" and not tagged:
        return AlphaChoice((), ("no band is tagged as alpha: --alpha yes changes nothing",))
    bands, notes = [], []
    for band in tagged if setting != "no" else ():
        if is_true_alpha(_alpha_samples(dataset, path, band)):
            bands.append(band)
            continue
        alpha = _look(dataset, path, (band,))
        if setting == "yes" or _is_transparency(dataset, path, tags, alpha):
            bands.append(band)
            partial = is_partial(alpha.bands[0]).mean()
            notes.append(
                f"band {band} is transparency, partial in {partial:.1%} of the scene: "
                "pixels are missing where it is 0 (else --alpha no)"
            )
    return AlphaChoice(tuple(bands), tuple(notes))


def _is_transparency(
    dataset: DatasetReader, path: str, tags: Sequence[ColorInterp], alpha: Pixels
) -> bool:
    """Return True if a band with values between 0 and full is transparency: look at the scene."""
    if not is_ramp(alpha.bands[0], alpha.readable):
        return False
    others = [band for band, tag in enumerate(tags, start=1) if tag is not ColorInterp.alpha]
    return is_blank_below(alpha.bands[0], _look(dataset, path, tuple(others[:3])).bands)


def _look(dataset: DatasetReader, path: str, bands: tuple[int, ...]) -> Pixels:
    return read_whole(dataset, path, Layers(bands, (), ()), fit(dataset.shape, _LOOK_SIDE))


def _alpha_samples(dataset: DatasetReader, path: str, band: int) -> Iterator[AlphaSample]:
    def read(core: Window) -> AlphaSample:
        window = buffered(core, SOFT_EDGE, whole(*dataset.shape))
        pixels = read_window(dataset, path, [band], window)[0]
        return AlphaSample(pixels, within(core, window))

    for core in alpha_cores(dataset.height, dataset.width):
        with suppress(SceneError):  # the survey of the whole scene reports damage
            for _, sample in readable_pieces(read, core):
                yield sample


def mask_bands(dataset: DatasetReader, alpha: tuple[int, ...]) -> tuple[int, ...]:
    """Return the bands whose GDAL mask adds to their values and alpha.

    An alpha band's flags are `per_dataset` and `alpha`; a mask of single bands has no flag.
    """
    flags = dict(enumerate(map(set, dataset.mask_flag_enums), start=1))
    shared = [band for band, flag in flags.items() if MaskFlags.per_dataset in flag]
    if any(MaskFlags.alpha not in flags[band] for band in shared):
        return (next(band for band in shared if MaskFlags.alpha not in flags[band]),)
    return tuple(band for band, flag in flags.items() if not flag and band not in alpha)


def palette_of(
    dataset: DatasetReader,
    tags: Sequence[ColorInterp],
    alpha: tuple[int, ...],
    nodata: float | None,
) -> Palette | None:
    """Read the colours of a paletted scene; colours of nodata are transparent.

    None for a band that is tagged as a palette but has no colour table, or no numbers that could
    stand for colours: its values are data.
    """
    only_band = dataset.count == 1 + len(alpha) and 1 not in alpha
    if not only_band or tags[0] is not ColorInterp.palette:
        return None
    table = _color_table(dataset)
    if table is None:
        return None
    size = np.iinfo(dataset.dtypes[0]).max + 1
    colours = [table.get(index, (0, 0, 0, 255)) for index in range(size)]
    if nodata is not None and dataset.nodata in range(size):
        # GDAL makes the tagged colour transparent; the user says otherwise.
        colours[int(dataset.nodata)] = (*colours[int(dataset.nodata)][:3], 255)
    hidden = dataset.nodata if nodata is None else nodata
    return tuple(
        (red, green, blue, 0 if index == hidden else alpha)
        for index, (red, green, blue, alpha) in enumerate(colours)
    )


def _color_table(dataset: DatasetReader) -> dict[int, tuple[int, int, int, int]] | None:
    if dataset.dtypes[0] not in _NUMBERS_OF_COLORS:
        return None
    try:
        return dict(dataset.colormap(1))
    except ValueError:  # so rasterio says that there is none
        return None


def palette_notes(tags: Sequence[ColorInterp], data: tuple[int, ...]) -> Iterator[str]:
    """Report bands that are tagged as a palette and taken as data."""
    for band in data:
        if tags[band - 1] is ColorInterp.palette:
            yield (
                f"band {band} is tagged as a palette without colours that could be used: "
                "its values are taken as data"
            )


def nodata_values(
    dataset: DatasetReader, path: str, data: tuple[int, ...], override: float | None
) -> tuple[float | None, ...]:
    """Find the nodata value of each data band; None without one that its pixels can have.

    Raises
    ------
    SceneError
        If no pixel can have the value that the user gave.
    """
    if override is None:
        return tuple(_tagged_nodata(dataset, band) for band in data)
    if math.isnan(override):
        return (None,) * len(data)
    dtype = np.dtype(dataset.dtypes[data[0] - 1])
    if not can_hold(dtype, override):
        raise SceneError(
            f"{path} holds {dtype} values, which cannot be nodata {override:g}: "
            "give a value that its pixels can have"
        )
    return (override,) * len(data)


def _tagged_nodata(dataset: DatasetReader, band: int) -> float | None:
    """Read the nodata value of a band as GDAL takes it: cut to an integer where its pixels are."""
    tag, dtype = dataset.nodatavals[band - 1], np.dtype(dataset.dtypes[band - 1])
    if tag is None:
        # rasterio drops the highest 64-bit integers, which as a float64 are too large by one.
        hidden = MaskFlags.nodata in dataset.mask_flag_enums[band - 1] and dtype.itemsize == 8
        return float(np.iinfo(dtype).max) if hidden and dtype.kind in "iu" else None
    if dtype.kind in "iu" and math.isfinite(tag):
        tag = float(math.trunc(tag))
    return tag if can_hold(dtype, tag) else None


def nodata_notes(
    dataset: DatasetReader, data: tuple[int, ...], values: tuple[float | None, ...]
) -> Iterator[str]:
    """Report tags between integers, and the value that is taken in their place."""
    for band, used in zip(data, values, strict=False):
        tag = dataset.nodatavals[band - 1]
        if used is not None and used != tag and tag is not None:
            yield (
                f"nodata {tag:g} cannot occur in {dataset.dtypes[band - 1]}: GDAL takes it as "
                f"{used:g}, and so does this run (else --nodata nan)"
            )
            return
