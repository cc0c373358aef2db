"""Sums that describe the segments of a scene, over the pixels that they were given.

Each pixel counts once, whatever tiles were made of it: its bands, and texture and context around
it, are the scene's. Only embeddings come from tiles. Where several see a pixel, their features
blend, by weights that add up to 1. So segments are described as if the scene were one image,
whichever tile their outlines come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.windows import Window, intersection

from alps_geo.features.images import (
    CONTEXT_REACH,
    CONTEXT_SCALES,
    TEXTURE_REACH,
    context_images,
    texture_images,
)
from alps_geo.features.sums import RegionSums, embedding_sums, moment_sums, pixel_counts, pixel_sums
from alps_geo.segments.matching import within
from alps_geo.segments.stitch import claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from alps_geo.features.images import BandScale
    from alps_geo.features.sums import Embeddings
    from alps_geo.grid import Tile, TileGrid
    from alps_geo.scene import TilePixels
    from alps_geo.segments.fragments import Outlines
    from alps_geo.segments.stitch import Claims, Stitched


@dataclass(frozen=True)
class Source:
    """Loaders of a scene's outlines, embeddings and pixels.

    Attributes
    ----------
    outlines, embeddings : callable
        Give those of a tile. They are asked several times for each, never for more than three rows
        of tiles at once.
    read : callable
        Gives the pixels of a window.
    scale : BandScale
        Level and spread of the scene's bands.
    views : TileGrid
        The tiles that have embeddings: those of the outlines, or others.
    cell_size : callable
        Height and width of an embedding's cell, in pixels, for the height and width of a tile.
    """

    outlines: Callable[[Tile], Outlines]
    embeddings: Callable[[Tile], Embeddings]
    read: Callable[[Window], TilePixels]
    scale: BandScale
    views: TileGrid
    cell_size: Callable[[tuple[int, int]], tuple[float, float]]


@dataclass(frozen=True)
class SegmentSums:
    """Sums of some segments, with their ids.

    Attributes
    ----------
    ids : ndarray of uint32, shape (n,)
        The segments.
    sums : RegionSums
        One row for each.
    """

    ids: NDArray[np.uint32]
    sums: RegionSums


def sum_segments(
    grid: TileGrid, segments: Stitched, source: Source, features: Sequence[str]
) -> Iterator[SegmentSums]:
    """Add up what describes each segment.

    Only segments that go on in a tile to come are held, so memory follows the strips along the
    seams and not the scene.

    Parameters
    ----------
    grid : TileGrid
        The scene's tiles.
    segments : Stitched
        The segments.
    source : Source
        What is added up.
    features : sequence of str
        Keys of `alps_geo.features.groups.FEATURES`: texture, context and embeddings are left out
        unless they are among them.

    Yields
    ------
    SegmentSums
        The segments that end in a tile's core, by ascending id; each segment comes once.
    """
    wanted = {feature.split(":")[0] for feature in features}
    open_ids, held = np.empty(0, dtype=np.uint32), list[RegionSums]()
    for index, tile in enumerate(grid):
        claims = claim(grid, tile, segments.ids, segments.ranks, source.outlines)
        here = np.unique(claims.ids[claims.number])
        here = here[here > 0]
        if not len(here):
            continue
        held.append(_core_sums(grid, tile, segments, claims, here, source, wanted))
        known, row = np.unique(np.concatenate([open_ids, here]), return_inverse=True)
        sums = RegionSums.concatenate(held).grouped(row + 1, len(known))
        ended = segments.last_tile[known - 1] == index
        if ended.any():
            yield SegmentSums(known[ended], sums.take(ended))
        open_ids, held = known[~ended], [sums.take(~ended)]


def _core_sums(
    grid: TileGrid,
    tile: Tile,
    segments: Stitched,
    claims: Claims,
    here: NDArray[np.uint32],
    source: Source,
    wanted: set[str],
) -> RegionSums:
    """Sum over the pixels of a core, for the segments that are there."""
    count = len(here)
    # Fragments without a pixel may be of segments that aren't here; their row is never looked at.
    row_of = np.where(claims.ids > 0, np.searchsorted(here, claims.ids) + 1, 0)
    rows = row_of[claims.number]
    fragment_pixels = pixel_counts(claims.number, len(claims.ids) - 1)
    painted = np.flatnonzero(fragment_pixels)
    scores = _fragment_scores(grid, segments, claims, source)[painted]
    of_masks = np.zeros((count + 1, 3))
    np.add.at(of_masks, row_of[1:][painted], scores * fragment_pixels[painted, None])
    margin = max(
        TEXTURE_REACH if "texture" in wanted else 0, CONTEXT_REACH if "context" in wanted else 0
    )
    window = _widened(tile, margin)
    pixels = source.read(window)
    core = within(tile.core, window)
    bands = pixels.bands[:, *core].astype(np.float64)
    texture, context = _surroundings(pixels, core, source.scale, wanted)
    weight, features, dense = _blended(tile.core, rows, count, source, wanted)
    origin = int(tile.core.row_off), int(tile.core.col_off)
    return RegionSums(
        area=pixel_counts(rows, count).astype(np.float64),
        mask_area=of_masks[1:, 0],
        score_sums=of_masks[1:, 1:],
        band_sums=pixel_sums(rows, count, bands),
        square_sums=pixel_sums(rows, count, bands**2),
        moment_sums=moment_sums(rows, count, origin),
        texture_sums=pixel_sums(rows, count, texture),
        context_sums=pixel_sums(rows, count, context),
        weight=weight,
        feature_sums=features,
        dense_sums=dense,
    )


def _fragment_scores(
    grid: TileGrid, segments: Stitched, claims: Claims, source: Source
) -> NDArray[np.float64]:
    """Give 1 and the two scores of the mask for each fragment that is of one; else 0; (n, 3)."""
    found = [np.zeros((0, 3))]
    for tile in claims.tiles:
        objects = source.outlines(tile).objects
        rows = np.vstack([np.zeros((1, 3)), np.insert(objects.scores, 0, 1.0, axis=1)])
        found.append(rows[np.where(segments.by_mask[grid.index(tile)], objects.of, 0)])
    return np.concatenate(found)


def _widened(tile: Tile, margin: int) -> Window:
    """Add a margin to a core, as far as the tile's window reaches: that could be read before."""
    core = tile.core
    wide = Window(
        core.col_off - margin,
        core.row_off - margin,
        core.width + 2 * margin,
        core.height + 2 * margin,
    )
    return intersection(wide, tile.window)


def _surroundings(
    pixels: TilePixels, core: tuple[slice, slice], scale: BandScale, wanted: set[str]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Measure texture and context, (T, H, W) and (S * B, H, W) over a core."""
    texture: NDArray[np.floating] = np.zeros((0, *pixels.valid[core].shape))
    context = texture
    if wanted.isdisjoint({"texture", "context"}):
        return texture, context
    standard = scale.standardise(pixels.bands, pixels.valid)
    if "texture" in wanted:
        texture = texture_images(standard, pixels.valid)[:, *core]
    if "context" in wanted:
        images = context_images(standard, pixels.valid)[:, *core].astype(np.float64)
        repeats = len(CONTEXT_SCALES)
        std, mean = (np.tile(each, repeats)[:, None, None] for each in (scale.std, scale.mean))
        context = images * std + mean
    return texture, context


def _blended(
    core: Window,
    rows: NDArray[np.int64],
    count: int,
    source: Source,
    wanted: set[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sum weights and features over a core's pixels, of all tiles that see them."""
    weight = np.zeros(count)
    features: list[NDArray[np.float64]] = []
    dense: list[NDArray[np.float64]] = []
    for other in source.views.seeing(core):
        embeddings = source.embeddings(other)
        if not embeddings.sam.size:
            continue
        shared = intersection(core, other.window)
        there = within(shared, other.window)
        part = rows[within(shared, core)]
        weights = source.views.weights(other)
        weight += pixel_sums(part, count, weights[None, *there])[:, 0]
        if "sam" in wanted:
            cell_size = source.cell_size((weights.shape[0], weights.shape[1]))
            features.append(embedding_sums(part, count, embeddings.sam, cell_size, weights, there))
        if "timm" in wanted:
            cells = embeddings.dense.shape[1:]
            fitting = weights.shape[0] / cells[0], weights.shape[1] / cells[1]
            dense.append(embedding_sums(part, count, embeddings.dense, fitting, weights, there))
    nothing = np.zeros((count, 0))
    return (
        weight,
        np.sum(features, axis=0) if features else nothing,
        np.sum(dense, axis=0) if dense else nothing,
    )
