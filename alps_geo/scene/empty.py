"""Bands without any data, which would leave a scene without a valid pixel."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from alps_geo.errors import SceneError
from alps_geo.scene.alpha import alpha_cores
from alps_geo.scene.raster import read_window, readable_pieces
from alps_geo.scene.validity import missing_in_band

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

    from alps_geo.scene.raster import Pixels
    from alps_geo.scene.validity import Validity


def empty_bands(
    dataset: DatasetReader, path: str, data: tuple[int, ...], survey: Pixels, validity: Validity
) -> tuple[int, ...]:
    """Find data bands that hold nothing but nodata, NaN and the like.

    Parameters
    ----------
    dataset : rasterio.io.DatasetReader
    path : str
        The scene, for messages.
    data : tuple of int
        The data bands, counted from 1.
    survey : Pixels
        These bands in all of the scene, possibly decimated. Where it is decimated, windows spread
        over the scene are read at full resolution too.
    validity : Validity
        Nodata of these bands.

    Returns
    -------
    tuple of int
        Bands, counted from 1; none if all are empty, since that is for others to report.
    """
    inside = survey.readable & (survey.alpha > 0).all(axis=0)
    found = [
        (band, nodata)
        for band, nodata, pixels in zip(data, validity.nodata, survey.bands, strict=True)
        if inside.any() and missing_in_band(pixels[inside], nodata).all()
    ]
    if len(found) == len(data):
        return ()
    if survey.readable.shape != dataset.shape:
        found = [(band, nodata) for band, nodata in found if _is_empty(dataset, path, band, nodata)]
    return tuple(band for band, _ in found)


def _is_empty(dataset: DatasetReader, path: str, band: int, nodata: float | None) -> bool:
    def read(window: Window) -> NDArray[Any]:
        return read_window(dataset, path, [band], window)

    for core in alpha_cores(dataset.height, dataset.width):
        with suppress(SceneError):  # the survey of the whole scene reports damage
            for _, piece in readable_pieces(read, core):
                if not missing_in_band(piece, nodata).all():
                    return False
    return True


def check_not_chosen(path: str, empty: tuple[int, ...], chosen: tuple[int, ...]) -> None:
    """Raise SceneError if SAM is to see a band that is empty."""
    for band in chosen:
        if band in empty:
            raise SceneError(
                f"{path}: band {band} was chosen to be seen, but holds no data anywhere in the "
                "scene: choose others with --bands"
            )


def empty_notes(empty: tuple[int, ...]) -> list[str]:
    """Report bands that are left out."""
    if not empty:
        return []
    if len(empty) == 1:
        return [
            f"band {empty[0]} holds no data anywhere in the scene and is left out: "
            "a scene that has it is described by other columns"
        ]
    listed = f"{', '.join(map(str, empty[:-1]))} and {empty[-1]}"
    return [
        f"bands {listed} hold no data anywhere in the scene and are left out: "
        "a scene that has them is described by other columns"
    ]
