"""Settings of a run, whose fields carry their range, help and effect; see `alps_geo.fields`.

The same names are options on the command line, keys of a ``--config`` file, and keys of
``settings`` in ``run.json``.
"""

from alps_geo.settings.clusters import DEFAULT_CLUSTERS
from alps_geo.settings.label import LabelSettings
from alps_geo.settings.panels import CLUSTERING, OUTPUT
from alps_geo.settings.presets import PRESETS
from alps_geo.settings.sizes import DEFAULT_TILE_SIZE, default_overlap
from alps_geo.settings.words import current_words

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
