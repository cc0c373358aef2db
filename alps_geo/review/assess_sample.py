"""Samples of the map of a finished run: points whose class a person finds out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alps_geo.classes.accuracy import Estimate, Strata
from alps_geo.classes.sampling import Rule, allocate, count_pixels, draw_pixels, least_points
from alps_geo.errors import RunError, SettingsError
from alps_geo.outputs.gpkg.points import write_points_gpkg
from alps_geo.review.map_classes import By, class_names, map_of
from alps_geo.review.sample_points import LAYER, REFERENCE, sample_frame
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.run import read_finished

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from alps_geo.review.map_classes import RunMap

EXPECTED = 0.8
"""User's accuracy that the expected error of a sample is computed with."""


@dataclass(frozen=True)
class SampleSettings:
    """Settings of a sample.

    Attributes
    ----------
    strata : str
        ``class`` or ``cluster``.
    size : int
        Points.
    allocation : str
        Rule that shares them out: see `alps_geo.classes.sampling.allocate`.
    minimum : int or None
        Points of a stratum at least, under the rule ``compromise``; by default
        `alps_geo.classes.sampling.least_points`.
    seed : int
        The same seed draws the same points of the same map.

    Raises
    ------
    SettingsError
        If size or minimum are too small for an estimate.
    """

    strata: By = "class"
    size: int = 400
    allocation: Rule = "compromise"
    minimum: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("minimum", self.minimum)):
            if value is not None and value < 2:
                raise SettingsError(f"{name} is {value}, expected 2 or more")


@dataclass(frozen=True)
class SamplePlan:
    """A sample that was drawn.

    Attributes
    ----------
    settings : SampleSettings
        Its settings, with the minimum that was taken.
    strata : Strata
        Its strata.
    points : ndarray of int64, shape (s,)
        Points in each.
    unit : str
        Unit of areas, ``m2`` or ``px``.
    left_out : int
        Pixels without a class, or cluster, of which no point was drawn.
    """

    settings: SampleSettings
    strata: Strata
    points: NDArray[np.int64]
    unit: str
    left_out: int

    @property
    def expected(self) -> Estimate:
        """Overall accuracy with its error if every user's accuracy is `EXPECTED`."""
        weights = self.strata.area / self.strata.area.sum()
        variance = weights**2 * EXPECTED * (1 - EXPECTED) / self.points
        return Estimate(EXPECTED, float(np.sqrt(variance.sum())))

    @property
    def explained(self) -> tuple[str, ...]:
        """Lines that say how points were shared out, and to expect of them."""
        size, least = int(self.points.sum()), self.settings.minimum
        lines = [
            {
                "proportional": "Points are proportional to area, two at least: best for overall "
                "accuracy and areas, little for rare strata.",
                "equal": "Strata have as many points each: best for user's accuracies, and less "
                "for overall accuracy and areas.",
                "compromise": f"Strata whose share is below {least} points have {least}, and the "
                "others share the rest by area (Olofsson et al. 2014, section 5.1): a compromise "
                "of equal points, for user's accuracies, and proportional ones, for areas.",
            }[self.settings.allocation],
            f"If {EXPECTED:.0%} of each stratum are right, overall accuracy will be known to "
            f"± {self.expected.margin:.1%}; four times the points halve that.",
        ]
        all_drawn = np.flatnonzero(self.points == self.strata.pixels)
        whole = [self.strata.names[number] for number in all_drawn]
        if whole:
            lines.append(
                f"Strata of so few pixels that all of them are points: {', '.join(whole)}."
            )
        if size < self.settings.size:
            lines.append(f"The map has {size} pixels, fewer than {self.settings.size}.")
        if self.left_out:
            lines.append(
                f"{self.left_out:,} pixels are of no class, such as those of clusters without a "
                "name, and have no points: estimates will hold for the rest."
            )
        return tuple(lines)

    def to_json(self) -> dict[str, object]:
        """Return the sample as plain values."""
        strata = self.strata
        return {
            **asdict(self.settings),
            "points": int(self.points.sum()),
            "area_unit": self.unit,
            "left_out_pixels": self.left_out,
            "expected_margin": self.expected.margin,
            "allocation_of": [
                {"stratum": name, "pixels": int(pixels), "area": float(area), "points": int(points)}
                for name, pixels, area, points in zip(
                    strata.names, strata.pixels, strata.area, self.points, strict=True
                )
            ],
        }


def draw_sample(
    path: Path, out: Path, settings: SampleSettings, *, overwrite: bool = False
) -> SamplePlan:
    """Draw a stratified random sample of the pixels of all scenes of a finished run.

    Parameters
    ----------
    path : pathlib.Path
        The run folder.
    out : pathlib.Path
        GeoPackage of points to write.
    settings : SampleSettings
        Strata, size, rule and seed.
    overwrite : bool
        True to replace a sample that is there, with all that was filled in.

    Raises
    ------
    RunError
        If there is no finished run with classes, a file cannot be read or written, or one lies at
        `out`.
    SettingsError
        If there are fewer points than the strata need.
    """
    if out.exists() and not overwrite:
        raise RunError(
            f"{out} is there already, perhaps with classes filled in; expected a new file: give "
            "another --out, or --overwrite to replace it"
        )
    run = read_finished(RunFolder(path))
    found = map_of(run, settings.strata)
    counts = count_pixels(found.blocks, len(found.scenes), len(found.names))
    found, counts = _present(found, counts)
    pixels = counts.sum(axis=0)
    strata = Strata(found.names, pixels, found.pixel_areas() @ counts)
    least = settings.minimum or least_points(settings.size, len(pixels))
    points = allocate(strata.area, pixels, settings.size, settings.allocation, least)
    drawn = draw_pixels(found.blocks, pixels, points, settings.seed)
    choices = sorted(set(class_names(run).values()))
    write_points_gpkg(out, sample_frame(found, strata, drawn), LAYER, REFERENCE, choices)
    labelled = sum(scene.labelled_pixels or 0 for scene in run.record.scenes)
    return SamplePlan(
        replace(settings, minimum=least),
        strata,
        points,
        found.unit,
        max(0, labelled - int(pixels.sum())),
    )


def _present(found: RunMap, counts: NDArray[np.int64]) -> tuple[RunMap, NDArray[np.int64]]:
    """Leave out clusters or classes without a pixel."""
    present = np.flatnonzero(counts.sum(axis=0))
    if not len(present):
        raise RunError(f"{found.rasters[0]}: no pixel has a label, so that none can be drawn")
    renumbered = np.full(len(found.names) + 1, -1)
    renumbered[present] = np.arange(len(present))
    names = tuple(found.names[number] for number in present)
    kept = replace(found, names=names, number_of_id=renumbered[found.number_of_id])
    return kept, counts[:, present]
