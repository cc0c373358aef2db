"""The page of the gallery: maps and crops of each cluster."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.outputs.pages import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image

_MOST_NAMED = 3
"""Scenes that a title names."""


@dataclass(frozen=True)
class Crop:
    """A segment in its surroundings.

    Attributes
    ----------
    scene : str
        Name of the scene.
    segment : int
        Id of the segment.
    confidence : float
        See `alps_geo.clusters.model.Assigned`.
    image : PIL.Image.Image
        RGB, with the segment outlined.
    quality : int
        Quality of the JPEG that it becomes.
    """

    scene: str
    segment: int
    confidence: float
    image: Image.Image
    quality: int


@dataclass(frozen=True)
class ClusterCrops:
    """A cluster with its map and its crops.

    Attributes
    ----------
    cluster : int
        Id of the cluster.
    name : str
        Name of the cluster; empty for none.
    color : str
        Colour in CSS.
    share : float
        Share of the valid pixels of all scenes.
    segments : int
        Number of its segments.
    map : PIL.Image.Image
        Map of its pixels.
    typical, doubtful : tuple of Crop
        The most typical first, the most doubtful first.
    """

    cluster: int
    name: str
    color: str
    share: float
    segments: int
    map: Image.Image
    typical: tuple[Crop, ...]
    doubtful: tuple[Crop, ...]


def write_gallery_page(
    path: Path, run: str, stamp: str, scenes: Sequence[str], clusters: Sequence[ClusterCrops]
) -> None:
    """Write the page.

    Names that are typed into it make up the command that gives them to the clusters; without
    JavaScript the command is there to be filled in by hand.

    Parameters
    ----------
    path : pathlib.Path
        File to write; one that is there is replaced at the end.
    run : str
        The run folder, as the command names it.
    stamp : str
        `alps_geo.clusters.model.ClusterModel.stamp`, so that the command gives names to no others.
    scenes : sequence of str
        Names of the scenes.
    clusters : sequence of ClusterCrops
        In the order of the page.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    command = f"alps-geo clusters name {shlex.quote(run)} --seen {stamp}"
    pairs = [shlex.quote(f"{each.cluster}={each.name}") for each in clusters]
    page = render(
        "gallery.html",
        title=f"{len(clusters)} clusters of {_named(scenes)}",
        command=command,
        filled=" ".join([command, *pairs]),
        clusters=clusters,
    )
    write_bytes(path, page.encode())


def _named(scenes: Sequence[str]) -> str:
    """Name scenes in a title, many by their number."""
    return ", ".join(scenes) if len(scenes) <= _MOST_NAMED else f"{len(scenes)} scenes"
