"""Pixels of a preview: pictures that are kept with the segments, and rasters of results."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from PIL import Image, PngImagePlugin
from rasterio.windows import Window

from alps_geo.errors import RunError, SceneError
from alps_geo.files import replacing, run_errors
from alps_geo.outputs.names import LABELS
from alps_geo.outputs.preview_panels import LONGEST_PANEL, mean_side
from alps_geo.outputs.preview_sheet import Detail, MapPicture
from alps_geo.scene import read_overview, read_tile
from alps_geo.scene.placed import has_transform, north_up
from alps_geo.scene.raster import opened

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from alps_geo.scene import Scene

    Pixels = NDArray[np.uint8]

PREVIEW_SIZE = 1024
"""Longest side of each picture in the preview, in pixels."""

PICTURE = "picture.png"
"""The scene as the preview shows it, stored with the segments: another preview is drawn of it."""

DETAIL = "detail.png"
"""The part of a large scene whose segments the preview shows, stored likewise."""

# Sides of a mean segment in a panel, in pixels: fewest that can be told apart, and those of a part.
_FINEST, _CLEAR = 16.0, 32.0

_LONGEST_DETAIL = 1024
"""Longest side of the part, in pixels of the scene: what one read may take."""

_POSITIONS = 5


def store_pictures(folder: Path, results: Path, scene: Scene, segments: int) -> None:
    """Keep the pictures of a scene from which previews are drawn.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the segments, which gets the pictures.
    results : pathlib.Path
        Folder of the results, in which the rasters lie.
    scene : Scene
        The scene.
    segments : int
        Number of its segments.

    Raises
    ------
    RunError
        If a file cannot be read or written.
    SceneError
        If nothing of the scene can be read.
    """
    pixels = read_overview(scene, PREVIEW_SIZE)
    write_picture(folder / PICTURE, pixels.image, pixels.valid)
    (folder / DETAIL).unlink(missing_ok=True)
    window = _detail_window(scene.shape, pixels.valid, results / LABELS, segments)
    if window is not None:
        # A part that is damaged leaves the preview without it.
        with suppress(SceneError):
            part = read_tile(scene, window)
            at = (window.row_off, window.col_off, window.height, window.width)
            write_picture(folder / DETAIL, part.image, part.valid, at)


def read_map(folder: Path, labels: Path, segments: Path) -> MapPicture:
    """Read a labelled scene as its preview shows it, north up.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the segments, in which the pictures lie.
    labels, segments : pathlib.Path
        Rasters of clusters or classes, and of the ids of segments.

    Raises
    ------
    RunError
        If a picture is absent or damaged.
    """
    image, valid = read_picture(folder / PICTURE)
    with opened(str(labels)) as raster:
        ids = raster.read(1, out_shape=valid.shape)
        order = north_up(raster.transform)
        transform, crs = _placed(raster, order, valid.shape)
    with opened(str(segments)) as raster:
        detail = _read_detail(folder / DETAIL, raster, order)
        borders = None if detail else raster.read(1, out_shape=valid.shape)[order]
    return MapPicture(
        image[order], ids[order], valid[order], borders, detail, crs=crs, transform=transform
    )


def write_picture(
    path: Path,
    image: Pixels,
    valid: NDArray[np.bool_],
    window: tuple[int, int, int, int] | None = None,
) -> None:
    """Keep a picture as a PNG, transparent where the scene has no data.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    image : array (rows, cols, 3), uint8
        The scene, or an overview of it.
    valid : array (rows, cols), bool
        True where it has data.
    window : tuple of int, optional
        First row, first column, height and width of a part of the scene.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    alpha = np.where(valid, np.uint8(255), np.uint8(0))
    notes = PngImagePlugin.PngInfo()
    if window is not None:
        notes.add_text(_WINDOW, " ".join(map(str, window)))
    with replacing(path) as part, run_errors(path):
        Image.fromarray(np.dstack([image, alpha])).save(part, format="PNG", pnginfo=notes)


_WINDOW = "window"


def read_picture(path: Path) -> tuple[Pixels, NDArray[np.bool_]]:
    """Read what `write_picture` wrote: image and valid mask.

    Raises
    ------
    RunError
        If it is absent or damaged.
    """
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
    except OSError as error:
        raise RunError(
            f"{path}: the picture of the scene cannot be read ({error}); expected that of a "
            "finished run: run alps-geo label there again with --force"
        ) from error
    return pixels[..., :3], pixels[..., 3] != 0


def _detail_window(
    shape: tuple[int, int], valid: NDArray[np.bool_], labels: Path, segments: int
) -> Window | None:
    """Choose the part of a scene whose clusters are most like those of all of it.

    None where the segments of the whole scene can be told apart in a panel.
    """
    panel = LONGEST_PANEL / max(shape)
    share = float(valid.mean())
    side = mean_side(share * shape[0] * shape[1], segments)
    if panel >= 1 or side * panel >= _FINEST or not segments:
        return None
    # No larger than the scene, and no larger than may be read at once.
    part = min(_LONGEST_DETAIL, LONGEST_PANEL * side / _CLEAR) / max(shape)
    height, width = (max(1, round(length * part)) for length in shape)
    with opened(str(labels)) as raster:
        seen = raster.read(1, out_shape=valid.shape)
    seen = np.where(valid, seen, 0)
    shares = _shares(seen, valid)
    best = min(
        (
            (_unlike(seen, valid, shares, (top, left, top + part, left + part)), middle, top, left)
            for top in np.linspace(0, 1 - part, _POSITIONS)
            for left in np.linspace(0, 1 - part, _POSITIONS)
            for middle in [abs(top + part / 2 - 0.5) + abs(left + part / 2 - 0.5)]
        ),
    )
    row, col = (
        min(int(at * n), n - m) for at, n, m in zip(best[2:], shape, (height, width), strict=True)
    )
    return Window(col, row, width, height)


def _shares(labels: NDArray[np.integer], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts = np.bincount(labels[valid], minlength=int(labels.max()) + 1)
    return np.asarray(counts / max(counts.sum(), 1), np.float64)


def _unlike(
    labels: NDArray[np.integer],
    valid: NDArray[np.bool_],
    shares: NDArray[np.float64],
    box: tuple[float, float, float, float],
) -> float:
    """Return the sum of differences in shares; pixels without data count twice."""
    rows, cols = labels.shape
    top, bottom = int(box[0] * rows), max(int(box[0] * rows) + 1, round(box[2] * rows))
    left, right = int(box[1] * cols), max(int(box[1] * cols) + 1, round(box[3] * cols))
    part, here = labels[top:bottom, left:right], valid[top:bottom, left:right]
    found = np.bincount(part[here], minlength=len(shares)) / part.size
    return float(np.abs(found - shares).sum() + 2 * (1 - here.mean()))


def _read_detail(path: Path, raster: DatasetReader, order: tuple[slice, slice]) -> Detail | None:
    """Read the part of a scene; None if the run has kept none."""
    if not path.is_file():
        return None
    image, valid = read_picture(path)
    with Image.open(path) as picture:
        row, col, height, width = map(int, picture.info[_WINDOW].split())
    ids = raster.read(1, window=Window(col, row, width, height))
    top, left = row / raster.height, col / raster.width
    bottom, right = top + height / raster.height, left + width / raster.width
    if order[0].step == -1:
        top, bottom = 1 - bottom, 1 - top
    if order[1].step == -1:
        left, right = 1 - right, 1 - left
    return Detail(image[order], valid[order], ids[order], (top, left, bottom, right))


def _placed(
    raster: DatasetReader, order: tuple[slice, slice], shape: tuple[int, int]
) -> tuple[Affine, object | None]:
    """Return transform and CRS of a picture of a raster."""
    rows, cols = shape
    picture = Affine.scale(raster.width / cols, raster.height / rows)
    if raster.crs is None or not has_transform(raster):
        return picture, None
    for number, part in enumerate(order):
        if part.step == -1:
            length = (raster.height, raster.width)[number]
            mirrored = (
                Affine(1, 0, 0, 0, -1, length) if number == 0 else Affine(-1, 0, length, 0, 1, 0)
            )
            picture = mirrored @ picture
    return raster.transform @ picture, raster.crs
