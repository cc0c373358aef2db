"""Segments to label next, as a layer to fill in and a page that shows them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine

from alps_geo.classes.names import CLASS_FIELD
from alps_geo.classes.next_samples import Candidates, choose_next
from alps_geo.classes.vector_file import read_features
from alps_geo.errors import SceneError, SettingsError
from alps_geo.outputs.fill_in_styles import areas_style
from alps_geo.outputs.gpkg.read import read_geometries
from alps_geo.outputs.gpkg.write import write_layer
from alps_geo.outputs.names import POLYGONS, SUGGESTED, SUGGESTED_PAGE
from alps_geo.outputs.suggested_page import Suggestion, write_suggested_page
from alps_geo.review.crops import Pick, draw_crops
from alps_geo.review.scenes import open_labelled
from alps_geo.scene.placed import PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alps_geo.runs.parts import SceneRecord
    from alps_geo.runs.run import FinishedRun

LAYER = "suggested"
"""Layer of the segments to label."""


@dataclass(frozen=True)
class Uncertain:
    """Segments of a scene, and the doubts of a classifier about them.

    Attributes
    ----------
    scene : str
        Name of the scene's folder.
    candidates : Candidates
        All its segments, by id.
    known : ndarray of int64
        Indexes of those that are sampled, or were suggested and left empty.
    probability : ndarray of float64, shape (n, k)
        Probability of each class for each segment; k is 0 without classes.
    names : tuple of str
        Names of the classes.
    """

    scene: str
    candidates: Candidates
    known: NDArray[np.int64]
    probability: NDArray[np.float64]
    names: tuple[str, ...]

    @classmethod
    def without_classes(
        cls,
        scene: str,
        rows: NDArray[np.float64],
        area: NDArray[np.float64],
        known: NDArray[np.int64],
    ) -> Uncertain:
        """Describe segments without classes: all are as doubtful."""
        count = len(rows)
        candidates = Candidates(rows, area, np.ones(count), np.zeros(count, np.int64))
        return cls(scene, candidates, known, np.empty((count, 0)), ())


@dataclass(frozen=True)
class Suggested:
    """Segments to label next, as they were written.

    Attributes
    ----------
    layer : pathlib.Path
        GeoPackage to fill in.
    page : pathlib.Path or None
        Page that shows them; None if a scene is gone.
    count : int
        Number of new segments.
    note : str
        Reason for a page that is absent; empty for none.
    """

    layer: Path
    page: Path | None
    count: int
    note: str = ""


def middles(run: FinishedRun, scene: str, segments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (row, col) of the middle of segments, shape (m, 2); (0, 0) of deleted ones."""
    path = run.folder.scene_folder(scene) / POLYGONS
    found = read_geometries(path, segments.tolist())
    record = _record(run, scene)
    transform = Affine(*record.transform) if record.transform else PIXELS
    points = np.zeros((len(segments), 2))
    for index, segment in enumerate(segments.tolist()):
        if segment in found:
            middle = shapely.centroid(found[segment])
            col, row = ~transform @ (middle.x, middle.y)
            points[index] = max(row, 0.0), max(col, 0.0)
    return points


def write_suggestions(
    run: FinishedRun, scenes: Sequence[Uncertain], count: int, samples: Sequence[str] = ()
) -> Suggested:
    """Choose segments to label next in all scenes, and write them as a layer to fill in.

    Segments that were filled in stay in the layer, and so do those that were left empty if the
    layer is among the samples: the same command goes on with it.

    Parameters
    ----------
    run : FinishedRun
        The run.
    scenes : sequence of Uncertain
        The segments of all its scenes.
    count : int
        Number of segments to choose.
    samples : sequence of str
        Files of the samples that are known.

    Raises
    ------
    RunError
        If a file cannot be read or written.
    SettingsError
        If the run has several scenes of which one lacks a CRS.
    """
    path = run.folder.path / SUGGESTED
    if len(run.record.scenes) > 1 and not all(scene.crs for scene in run.record.scenes):
        raise SettingsError(
            f"{run.folder.path} has scenes without a CRS, whose places cannot be told apart in "
            "one layer; label them one by one for suggestions"
        )
    before = _before(path, keep_empty=str(path.resolve()) in map(_real, samples))
    chosen = _choose(scenes, count)
    picks = [
        Pick(scene.scene, index + 1, float(1 - scene.candidates.uncertainty[index]))
        for scene, index in chosen
    ]
    reasons = [_reason(scene, index) for scene, index in chosen]
    frame = _frame(run, picks, reasons)
    both = frame if before is None else pd.concat([before.to_crs(frame.crs), frame])
    known = {name for scene in scenes for name in scene.names}
    given = set(both[CLASS_FIELD].dropna().astype(str).str.strip()) - {""}
    choices = sorted(known | given) if known else []
    style = areas_style(LAYER, CLASS_FIELD, choices, "reason")
    write_layer(path, gpd.GeoDataFrame(both, crs=frame.crs), LAYER, style)
    return _draw_page(run, path, picks, reasons)


def _real(path: str) -> str:
    return str(Path(path).resolve())


def _choose(scenes: Sequence[Uncertain], count: int) -> list[tuple[Uncertain, int]]:
    """Choose segments of all scenes together."""
    sizes = [len(scene.candidates.area) for scene in scenes]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    known = [scene.known + start for scene, start in zip(scenes, starts, strict=False)]
    picked = choose_next(
        Candidates.together([scene.candidates for scene in scenes]), np.concatenate(known), count
    )
    number = np.searchsorted(starts, picked, side="right") - 1
    return [(scenes[at], int(index - starts[at])) for at, index in zip(number, picked, strict=True)]


def _reason(scene: Uncertain, index: int) -> str:
    """Describe the doubts about a segment."""
    if not scene.names:
        return "large, and unlike the others"
    first, second = np.argsort(-scene.probability[index], kind="stable")[:2].tolist()
    shown = [f"{scene.names[i]} {scene.probability[index, i]:.2f}" for i in (first, second)]
    return " or ".join(shown)


def _before(path: Path, *, keep_empty: bool) -> gpd.GeoDataFrame | None:
    """Read the suggestions of before that stay; None if there are none."""
    if not path.is_file():
        return None
    found = read_features(str(path), layer=LAYER)
    if CLASS_FIELD not in found.columns:
        return None
    filled = found[CLASS_FIELD].fillna("").astype(str).str.strip() != ""
    kept = found if keep_empty else found[filled]
    return kept if len(kept) else None


def _frame(run: FinishedRun, picks: Sequence[Pick], reasons: Sequence[str]) -> gpd.GeoDataFrame:
    """Put the layer together, in the CRS of the first scene."""
    crs = run.record.scenes[0].crs
    rows, shapes = [], []
    for scene in run.record.scenes:
        here = [
            (pick, reason)
            for pick, reason in zip(picks, reasons, strict=True)
            if pick.scene == scene.name
        ]
        path = run.folder.scene_folder(scene.name) / POLYGONS
        found = read_geometries(path, [pick.segment for pick, _ in here])
        kept = [(pick, reason) for pick, reason in here if pick.segment in found]
        placed = gpd.GeoSeries([found[pick.segment] for pick, _ in kept], crs=scene.crs)
        shapes += list(placed if crs is None else placed.to_crs(crs))
        rows += [
            (pick.segment, pick.scene, None, reason, 1 - pick.confidence) for pick, reason in kept
        ]
    names = ["segment_id", "scene", CLASS_FIELD, "reason", "uncertainty"]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
    data = pd.DataFrame({name: list(columns.get(name, ())) for name in names})
    data[CLASS_FIELD] = data[CLASS_FIELD].astype(object)
    return gpd.GeoDataFrame(data, geometry=shapes, crs=crs)


def _draw_page(
    run: FinishedRun, layer: Path, picks: Sequence[Pick], reasons: Sequence[str]
) -> Suggested:
    """Draw the page, if all scenes are there."""
    page = run.folder.path / SUGGESTED_PAGE
    try:
        scenes = {record.name: open_labelled(run, record) for record in run.record.scenes}
        crops = draw_crops(run, scenes, picks, lambda _done, _total: None)
    except SceneError as error:
        return Suggested(layer, None, len(picks), f"no page with crops: {error}")
    command = shlex.join(
        ["alps-geo", "classify", str(run.folder.path), "--samples", str(layer), "--suggest"]
    )
    shown = [
        Suggestion(crops[pick], reason)
        for pick, reason in zip(picks, reasons, strict=True)
        if pick in crops
    ]
    write_suggested_page(page, str(layer), f"{command} {len(picks)}", shown)
    return Suggested(layer, page, len(picks))


def _record(run: FinishedRun, scene: str) -> SceneRecord:
    (found,) = (each for each in run.record.scenes if each.name == scene)
    return found
