"""Opening a scene: its bands, valid pixels and stretch are decided, assumptions noted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.fields import Percentiles
from alps_geo.scene.bands import RGB, BandChoice, choose_bands
from alps_geo.scene.collar import MIN_COLLAR_SHARE, PixelCentres, find_collar
from alps_geo.scene.empty import check_not_chosen, empty_bands, empty_notes
from alps_geo.scene.kind import check_kind, file_facts, placement_notes, scene_name
from alps_geo.scene.marks import (
    mask_bands,
    nodata_notes,
    nodata_values,
    palette_notes,
    palette_of,
    true_alpha,
)
from alps_geo.scene.placed import (
    GroundControl,
    added_alpha,
    has_transform,
    map_transform,
    opened_scene,
    source_of,
)
from alps_geo.scene.raster import Layers, Palette, Pixels, read_whole
from alps_geo.scene.read import Scene, fit, rgb_positions
from alps_geo.scene.scaling import scaling_notes, scaling_of
from alps_geo.scene.sources import SourceFiles, source_files
from alps_geo.scene.stretch import AUTOMATIC, Limits, automatic_limits
from alps_geo.scene.stretch_pixels import SURVEY_SIDE, read_stretch_pixels
from alps_geo.scene.validity import Validity, huge_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

# Values of the overview of the whole scene that are held in memory.
_SURVEY_VALUES = 25_000_000

_LOSSY = re.compile(r"JPEG|WEBP|JXL")

# 8-bit values no brighter than this give SAM a nearly black image.
_NEARLY_BLACK = 32

_PALETTED = BandChoice(
    (1,), RGB, (1, 1, 1), ("the scene is paletted: its colours are the data, not their numbers",)
)


def open_scene(
    path: str,
    *,
    bands: tuple[int, ...] | None = None,
    nodata: float | None = None,
    stretch: tuple[float, float] | None = None,
    alpha: str = "auto",
    alike: Alike | None = None,
) -> Scene:
    """Open a raster and decide, once, how its pixels are read.

    Parameters
    ----------
    path : str
        Anything that GDAL opens: a file, a URL, a GDAL dataset name.
    bands : tuple of int, optional
        The band that SAM sees as grey, or the three it sees as red, green and blue, counted from 1.
    nodata : float, optional
        Replaces the nodata value of the file. NaN: no value is nodata, and zeros are no collar.
    stretch : tuple of float, optional
        Percentiles of the valid pixels that become 0 and 255. Without it 8-bit values stay as they
        are and others are stretched from 2 to 98.
    alpha : str
        yes if bands that are tagged as alpha are transparency, no if they are data. With auto their
        values decide.
    alike : Alike, optional
        Decisions that the scene shares with others of its kind, and does not make by itself. It
        then keeps all its bands, and may have no valid pixel.

    Raises
    ------
    SceneError
        If the raster cannot be opened or understood, or has no valid pixel.
    SettingsError
        If `stretch` is not two percentiles.
    """
    Percentiles().check("stretch", stretch)
    with opened_scene(path) as dataset:
        check_kind(dataset, path)
        return _describe(dataset, path, _Wishes(bands, nodata, stretch, alpha, alike))


@dataclass(frozen=True)
class Alike:
    """Decisions that scenes of one kind share.

    Attributes
    ----------
    stretch : tuple of (low, high), or None
        Of `Scene`.
    """

    stretch: Limits | None


@dataclass(frozen=True)
class _Wishes:
    """The user's arguments to `open_scene`."""

    bands: tuple[int, ...] | None
    nodata: float | None
    stretch: tuple[float, float] | None
    alpha: str
    alike: Alike | None


@dataclass(frozen=True)
class _Layout:
    """Bands of a scene, and the marks of missing pixels that the file has.

    Attributes
    ----------
    choice : BandChoice
        Bands of data.
    nodata : tuple of (float or None)
        One per data band.
    alpha : tuple of int
        Bands of transparency, counted from 1.
    added : tuple of int
        Bands of transparency that warping has added.
    palette : tuple of (red, green, blue, alpha), or None
        Colours of a paletted scene.
    notes : tuple of str
        Assumptions about all these.
    """

    choice: BandChoice
    nodata: tuple[float | None, ...]
    alpha: tuple[int, ...]
    added: tuple[int, ...]
    palette: Palette | None
    notes: tuple[str, ...]


def _describe(
    dataset: DatasetReader, path: str, wishes: _Wishes, empty: tuple[int, ...] = ()
) -> Scene:
    layout = _layout(dataset, path, wishes, empty)
    choice, palette = layout.choice, layout.palette
    layers, survey, survey_notes = _survey(dataset, path, layout)
    notes = [*placement_notes(dataset), *empty_notes(empty), *layout.notes, *survey_notes]
    validity = Validity(layout.nodata, layout.alpha, layers.masks, collar=None)
    leaves_out = palette is None and wishes.alike is None
    found = empty_bands(dataset, path, choice.data, survey, validity) if leaves_out else ()
    if found:
        check_not_chosen(path, found, wishes.bands or ())
        return _describe(dataset, path, wishes, (*empty, *found))
    validity, collar_notes = _with_any_collar(dataset, survey, validity, layout, wishes)
    limits, stretch_notes = _stretched(dataset, path, (layers, survey, validity), layout, wishes)
    files, (size, mtime) = source_files(dataset, path), file_facts(path)
    return Scene(
        path=path,
        name=scene_name(path),
        height=dataset.height,
        width=dataset.width,
        crs=dataset.crs,
        transform=map_transform(dataset),
        has_transform=has_transform(dataset),
        control=None if has_transform(dataset) else GroundControl.of(dataset),
        band_names=choice.names,
        data_bands=choice.data,
        scaling=scaling_of(dataset, choice),
        rgb=choice.rgb,
        dtype=str(survey.bands.dtype),
        validity=validity,
        stretch=limits,
        palette=palette,
        size_bytes=size,
        mtime=mtime,
        files_sha256=_files_digest(files, survey),
        notes=(*notes, *collar_notes, *stretch_notes, *_unknown_notes(files)),
    )


def _survey(
    dataset: DatasetReader, path: str, layout: _Layout
) -> tuple[Layers, Pixels, tuple[str, ...]]:
    """Read the whole scene at a reduced resolution, with notes on damaged and huge values."""
    choice, alpha = layout.choice, layout.alpha
    layers = Layers(choice.data, alpha, mask_bands(dataset, alpha), layout.palette)
    survey = read_whole(dataset, path, layers, _survey_shape(dataset, len(choice.names)))
    return layers, survey, (*_damage_notes(survey), *huge_notes(survey.bands, layout.nodata))


def _layout(dataset: DatasetReader, path: str, wishes: _Wishes, empty: tuple[int, ...]) -> _Layout:
    """Separate bands of data from bands of transparency, without `empty` ones."""
    # Read once, before any pixel: after a block that cannot be read, GDAL blames this for it.
    added = added_alpha(dataset)
    tags = dataset.colorinterp[: dataset.count - len(added)]
    bands, nodata = wishes.bands, wishes.nodata
    transparency = true_alpha(dataset, path, tags, bands or (), wishes.alpha)
    alpha, notes = transparency.bands + added, [*transparency.notes]
    palette = palette_of(dataset, tags, alpha, nodata) if bands is None else None
    if palette is None:
        unused = (*alpha, *empty)
        choice = choose_bands(path, tags, dataset.descriptions, unused, bands, wishes.alpha)
        values = nodata_values(dataset, path, choice.data, nodata)
        notes += [] if nodata is not None else nodata_notes(dataset, choice.data, values)
        notes += palette_notes(tags, choice.data) if bands is None else []
    else:
        choice, values = _PALETTED, (None, None, None)
    notes += [*choice.notes, *scaling_notes(dataset, choice)]
    return _Layout(choice, values, alpha, added, palette, tuple(notes))


def _with_any_collar(
    dataset: DatasetReader, survey: Pixels, validity: Validity, layout: _Layout, wishes: _Wishes
) -> tuple[Validity, tuple[str, ...]]:
    """Add an untagged collar where the file marks no pixels, else the edge of a tagged one."""
    of_file = tuple(band for band in layout.alpha if band not in layout.added)
    if wishes.nodata is None and not _is_marked(replace(validity, alpha=of_file), layout.palette):
        return _with_collar(dataset, survey, validity)
    return _with_tagged_collar(dataset, survey, validity)


def _files_digest(files: SourceFiles, survey: Pixels) -> str:
    """Digest the identity of a scene's files, and its pixels where files have no dates."""
    digest = sha256(files.sha256.encode())
    if files.unknown:
        for part in (survey.bands, survey.alpha, survey.masks):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _unknown_notes(files: SourceFiles) -> Iterator[str]:
    if files.unknown:
        more = f", nor do {len(files.unknown) - 1} more" if len(files.unknown) > 1 else ""
        yield (
            f"{files.unknown[0]} doesn't say when it was changed{more}: that it is still the same "
            "is judged by an overview of the scene"
        )


def _is_marked(validity: Validity, palette: Palette | None) -> bool:
    """Return True if the file itself marks missing pixels."""
    transparent = palette is not None and any(colour[3] == 0 for colour in palette)
    tagged = any(value is not None for value in validity.nodata)
    return tagged or transparent or bool(validity.alpha or validity.masks)


def _with_collar(
    dataset: DatasetReader, survey: Pixels, validity: Validity
) -> tuple[Validity, tuple[str, ...]]:
    rows, cols = survey.readable.shape
    step = max(dataset.height / rows, dataset.width / cols)
    lossy = _is_lossy(dataset)
    found = find_collar(survey.bands, survey.readable, step, lossy=lossy)
    if found is None:
        return validity, ()
    collar, share = found
    if validity.alpha:  # outside of a warped scene all is zero
        centres = PixelCentres.of_whole((rows, cols))
        inside = collar.covers(survey.bands, centres) & survey.alpha.all(0)
        share = float(inside.mean())
        if share < MIN_COLLAR_SHARE:
            return validity, ()
    zeros = "near zeros (the file is compressed with loss)" if lossy else "zeros"
    note = (
        f"{share:.1%} of the scene, an area of {zeros} at its border without a nodata tag, "
        "is taken as nodata (else --nodata nan)"
    )
    return replace(validity, collar=collar), (note,)


def _with_tagged_collar(
    dataset: DatasetReader, survey: Pixels, validity: Validity
) -> tuple[Validity, tuple[str, ...]]:
    """Add pixels near the value of a nodata tag, from which lossy compression moved them."""
    tags = set(validity.nodata)
    if len(tags) != 1 or tags & {None} or not _is_lossy(dataset):
        return validity, ()
    tag = int(next(value for value in tags if value is not None))
    step = max(a / b for a, b in zip(dataset.shape, survey.readable.shape, strict=True))
    found = find_collar(survey.bands, survey.readable, step, lossy=True, level=tag)
    if found is None:
        return validity, ()
    collar = found[0]
    covered = collar.covers(survey.bands, PixelCentres.of_whole(survey.readable.shape))
    added = float((covered & (survey.bands != tag).any(axis=0)).mean())
    note = (
        f"{added:.2%} of the scene, values near nodata {tag} along the edge of its area at the "
        "scene's border, is taken as nodata too: the file is compressed with loss "
        "(else --nodata nan)"
    )
    return replace(validity, collar=collar), (note,) if added else ()


def _is_lossy(dataset: DatasetReader) -> bool:
    if set(dataset.dtypes) != {"uint8"}:
        return False
    facts = source_of(dataset).tags(ns="IMAGE_STRUCTURE")
    reversible = facts.get("COMPRESSION_REVERSIBILITY", "").startswith("LOSSLESS")
    return not reversible and _LOSSY.search(facts.get("COMPRESSION", "")) is not None


def _survey_shape(dataset: DatasetReader, bands: int) -> tuple[int, int]:
    side = min(SURVEY_SIDE, math.isqrt(_SURVEY_VALUES // bands))
    return fit(dataset.shape, side)


def _damage_notes(survey: Pixels) -> Iterator[str]:
    if not survey.readable.all():
        yield (
            "parts of the file cannot be read, it seems truncated or damaged: "
            "the rest alone decides the stretch"
        )


def _stretched(
    dataset: DatasetReader,
    path: str,
    found: tuple[Layers, Pixels, Validity],
    layout: _Layout,
    wishes: _Wishes,
) -> tuple[Limits | None, tuple[str, ...]]:
    """Decide the stretch by the values that SAM sees, with notes on it."""
    if wishes.alike is not None:
        return wishes.alike.stretch, ()
    positions = rgb_positions(layout.choice.data, layout.choice.rgb, layout.palette)
    seen = read_stretch_pixels(dataset, path, *found)[list(positions)]
    limits = automatic_limits(seen, str(found[1].bands.dtype), wishes.stretch)
    return limits, tuple(_stretch_notes(seen, limits))


def _stretch_notes(seen: NDArray[np.float32], limits: Limits | None) -> Iterator[str]:
    if limits is None:
        brightest = float(np.percentile(seen, AUTOMATIC[1]))
        if brightest < _NEARLY_BLACK:
            yield (
                f"the brightest 8-bit values are about {brightest:.0f} of 255, so that SAM sees "
                "a nearly black image (--stretch 2,98 brightens it)"
            )
    elif all(low == high for low, high in limits):
        yield "all valid pixels are alike: SAM sees an even grey"
