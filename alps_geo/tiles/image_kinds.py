"""Kinds of images in a folder: what all images of the same bands and units share.

Headers of all images are read, and the pixels of some, spread evenly over the folder: so bands are
stretched and scaled over the dataset and not for each image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import ColorInterp

from alps_geo.errors import SceneError
from alps_geo.features.images import band_scale
from alps_geo.scene import TilePixels, open_scene, read_overview
from alps_geo.scene.describe import Alike
from alps_geo.scene.folder import ImageReading, as_bands
from alps_geo.scene.raster import opened
from alps_geo.scene.read import read_stored
from alps_geo.scene.stretch import automatic_limits
from alps_geo.tiles.images import ImageKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alps_geo.scene import Scene
    from alps_geo.scene.folder import FolderImage
    from alps_geo.settings import LabelSettings

OVERVIEW_IMAGES = 128
"""Images of each kind whose pixels decide its stretch and scale."""

OVERVIEW_SIDE = 128
"""Longest side, in pixels, of the overview of each of them."""

_OPENED = 8
"""Images of each header that are opened to name its bands, at most."""


@dataclass(frozen=True)
class Header:
    """Facts about the bands of an image that its file tells without its pixels."""

    dtypes: tuple[str, ...]
    colors: tuple[str, ...]
    descriptions: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def has_alpha(self) -> bool:
        """True if a band is tagged as alpha."""
        return ColorInterp.alpha.name in self.colors


@dataclass(frozen=True)
class KnownImages:
    """Images of a folder by kind.

    Attributes
    ----------
    by_kind : tuple of (ImageKind, tuple of FolderImage)
        The kinds, that of most images first, each with its images in their order.
    unreadable : dict of FolderImage to str
        Images that cannot be opened, with the reason.
    """

    by_kind: tuple[tuple[ImageKind, tuple[FolderImage, ...]], ...]
    unreadable: Mapping[FolderImage, str]


def find_kinds(images: Sequence[FolderImage], settings: LabelSettings) -> KnownImages:
    """Sort images by kind, and decide how those of each are read.

    Grey images next to colour ones of the same unit count as colour ones of equal bands.

    Raises
    ------
    SceneError
        If no image can be opened.
    """
    by_header: dict[Header, list[FolderImage]] = {}
    unreadable: dict[FolderImage, str] = {}
    for image in images:
        try:
            by_header.setdefault(_header(image.path), []).append(image)
        except SceneError as error:
            unreadable[image] = str(error)
    by_reading: dict[ImageReading, list[FolderImage]] = {}
    for header, members in by_header.items():
        reading = _reading(header, members, settings, unreadable)
        if reading is not None:
            by_reading.setdefault(reading, []).extend(members)
    if not by_reading:
        reasons = iter(unreadable.values())
        more = f" (and so with all {len(unreadable)} images)" if len(unreadable) > 1 else ""
        raise SceneError(f"{next(reasons)}{more}")
    position = {image: index for index, image in enumerate(images)}
    kinds = [
        (_kind(reading, members, settings), tuple(sorted(members, key=position.__getitem__)))
        for reading, members in _with_grey_as_colour(by_reading).items()
    ]
    kinds.sort(key=lambda found: -len(found[1]))
    return KnownImages(tuple(kinds), unreadable)


def _header(path: str) -> Header:
    with opened(path) as dataset:
        return Header(
            dtypes=tuple(dataset.dtypes),
            colors=tuple(color.name for color in dataset.colorinterp),
            descriptions=tuple(dataset.descriptions),
            scales=tuple(dataset.scales),
            offsets=tuple(dataset.offsets),
        )


def _reading(
    header: Header,
    images: Sequence[FolderImage],
    settings: LabelSettings,
    unreadable: dict[FolderImage, str],
) -> ImageReading | None:
    """Decide how images of a header are read, without their stretch; None if none can be."""
    scenes = []
    failures: dict[FolderImage, str] = {}
    for image in _spread(images, _OPENED):
        try:
            scenes.append(_open(image, settings, settings.alpha))
        except SceneError as error:
            failures[image] = str(error)
    if not scenes:
        reason = next(iter(failures.values()))
        unreadable.update(failures | {image: reason for image in images if image not in failures})
        return None
    alpha = settings.alpha
    if header.has_alpha and alpha == "auto":
        # One image that is opaque everywhere says little; transparency in any is transparency.
        alpha = "yes" if any(scene.validity.alpha for scene in scenes) else "no"
    scene = next((s for s in scenes if bool(s.validity.alpha) == (alpha == "yes")), scenes[0])
    return ImageReading(scene.unit, scene.band_names, None, settings.bands, settings.nodata, alpha)


def _open(image: FolderImage, settings: LabelSettings, alpha: str) -> Scene:
    return open_scene(
        image.path, bands=settings.bands, nodata=settings.nodata, alpha=alpha, alike=Alike(None)
    )


def _with_grey_as_colour(
    by_reading: Mapping[ImageReading, Sequence[FolderImage]],
) -> dict[ImageReading, list[FolderImage]]:
    """Put images whose bands and units are alike together, grey ones with colour ones."""
    colour: dict[str, tuple[str, ...]] = {}
    for reading, members in sorted(by_reading.items(), key=lambda found: -len(found[1])):
        if len(reading.band_names) > 1 and members:
            colour.setdefault(reading.unit, reading.band_names)
    joined: dict[tuple[str, tuple[str, ...]], tuple[ImageReading, list[FolderImage]]] = {}
    for reading, members in by_reading.items():
        names = colour.get(reading.unit, reading.band_names)
        if len(reading.band_names) > 1 and set(reading.band_names) != set(names):
            names = reading.band_names
        before, known = joined.get((reading.unit, names), (reading, []))
        # Alpha settings do not affect images without an alpha band.
        alpha = "yes" if "yes" in (before.alpha, reading.alpha) else before.alpha
        alike = replace(before, band_names=names, alpha=alpha)
        joined[reading.unit, names] = alike, [*known, *members]
    return dict(joined.values())


def _kind(
    reading: ImageReading, images: Sequence[FolderImage], settings: LabelSettings
) -> ImageKind:
    """Measure stretch and scale of a kind over some of its images."""
    stored: list[np.ndarray] = []
    overviews: list[TilePixels] = []
    dtype = ""
    for image in _spread(images, OVERVIEW_IMAGES):
        try:
            scene = as_bands(_open(image, settings, reading.alpha), reading.band_names)
            if scene.band_names != reading.band_names:
                continue
            dtype = scene.dtype
            overviews.append(read_overview(scene, OVERVIEW_SIDE))
            if settings.stretch is not None or dtype != "uint8":
                stored.append(read_stored(scene, OVERVIEW_SIDE)[list(scene.rgb_positions)])
        except SceneError:
            continue  # it is reported when its turn comes
    seen = np.concatenate(stored, axis=1) if stored else np.zeros((3, 0), np.float32)
    limits = automatic_limits(seen, dtype, settings.stretch) if seen.size else None
    return ImageKind(replace(reading, stretch=limits), band_scale(_together(overviews, reading)))


def _together(overviews: Iterable[TilePixels], reading: ImageReading) -> TilePixels:
    """Put the valid pixels of several overviews into one row."""
    parts = [overview.bands[:, overview.valid] for overview in overviews]
    bands = np.concatenate([np.zeros((len(reading.band_names), 0), np.float32), *parts], axis=1)
    count = bands.shape[1]
    return TilePixels(
        np.zeros((1, count, 3), np.uint8), bands[:, None, :], np.ones((1, count), np.bool_)
    )


def _spread(images: Sequence[FolderImage], count: int) -> Sequence[FolderImage]:
    """Pick up to `count` images, evenly over all of them."""
    if len(images) <= count:
        return images
    return [images[index] for index in np.linspace(0, len(images) - 1, count).round().astype(int)]
