"""Identity of scenes, weights and runs: everything that decides fragments and results.

Workers on tiles import it, so it brings neither tables nor pictures nor clustering.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from importlib.metadata import version
from typing import TYPE_CHECKING

from alps_geo.fields import STAGES
from alps_geo.scene.raster import real_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alps_geo.features.images import BandScale
    from alps_geo.masks.generator import Weights
    from alps_geo.scene import Scene
    from alps_geo.scene.folder import FolderImage, ImageReading
    from alps_geo.settings import LabelSettings


def fingerprint(value: object) -> str:
    """Return the SHA-256 of a value of plain types: equal for equal values, on every machine.

    >>> fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def scene_identity(scene: Scene) -> dict[str, object]:
    """Return the files of a scene and how they are read, whatever the spelling of its path.

    A scene is another once any file behind it has changed, or a fact that was found in them: CRS,
    transform, bands, validity, stretch.
    """
    left_out = ("path", "name", "size_bytes", "mtime", "notes")
    found = {
        field.name: repr(getattr(scene, field.name))
        for field in fields(scene)
        if field.name not in left_out
    }
    return {"path": real_path(scene.path), **found}


def kind_key(
    reading: ImageReading,
    scale: BandScale,
    settings: LabelSettings,
    weights: Weights,
    version: int,
) -> str:
    """Fingerprint of everything that decides the segments of images except their own files.

    Parameters
    ----------
    reading : ImageReading
        The way in which they are read.
    scale : BandScale
        Level and spread of their bands.
    settings : LabelSettings
        Settings of segments.
    weights : Weights
        Digests of the weights.
    version : int
        Version of the tile stage.
    """
    return fingerprint(
        {
            "version": version,
            "images": True,
            "reading": reading.to_text(),
            "scale": [scale.mean.tolist(), scale.std.tolist()],
            "model": weights.sam,
            "backbone_weights": weights.backbone,
            "tile_size": [settings.tile_sizes[0], settings.tile_overlap],
            "segments": settings.deciding("segments"),
            "features": settings.features,
            **settings.tile_values(),
        }
    )


def images_identity(
    images: Sequence[FolderImage],
    settings: LabelSettings,
    layout: Mapping[str, object],
    weights: Weights,
) -> dict[str, object]:
    """Return everything that decides the results of a run over a folder of images.

    Parameters
    ----------
    images : sequence of FolderImage
        Its images, wherever the folder lies.
    settings : LabelSettings
        Settings of segments and clusters.
    layout : mapping of str to object
        Settings of the folder, as fingerprints hold them.
    weights : Weights
        Digests of the weights.
    """
    return {
        "version": version("alps-geo"),
        "images": [[image.title, list(image.stamp)] for image in images],
        "folder": dict(layout),
        "weights": weights.to_dict(),
        "settings": settings.deciding(*STAGES),
    }


def run_identity(
    scenes: Sequence[Scene], settings: LabelSettings, weights: Weights, *, fit: bool = False
) -> dict[str, object]:
    """Return everything that decides the results of a run: runs of one identity give the same.

    A fit leaves a cluster model and no labels, so it is never the same as a run that labels.

    Device and workers are left out: they decide how long a run takes. So are the paths of weights
    and of a cluster model to apply: the content of these files decides.
    """
    return {
        "version": version("alps-geo"),
        "fit": fit,
        # Results go by the name, which another link to the same file may not have.
        "scenes": [{"name": scene.name, **scene_identity(scene)} for scene in scenes],
        "weights": weights.to_dict(),
        "settings": settings.deciding(*STAGES),
    }
