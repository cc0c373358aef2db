"""Settings of a run, whose fields carry their range, help and effect; see `alps_geo.fields`.

The same names are options on the command line, keys of a ``--config`` file, and keys of
``settings`` in ``run.json``.
"""

from alps_geo.settings.label import (
    CLUSTERING,
    DEFAULT_CLUSTERS,
    OUTPUT,
    LabelSettings,
    current_words,
)
from alps_geo.settings.presets import PRESETS
from alps_geo.settings.sizes import DEFAULT_TILE_SIZE, default_overlap

__all__ = [
    "CLUSTERING",
    "DEFAULT_CLUSTERS",
    "DEFAULT_TILE_SIZE",
    "OUTPUT",
    "PRESETS",
    "LabelSettings",
    "current_words",
    "default_overlap",
]
