"""The plugin, which runs in the Python of QGIS and imports nothing of the house, nor Python 3.10.

`alps-geo qgis install` copies this folder into a profile, with a note of the program to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plugin import AlpsGeoPlugin


def classFactory(iface: object) -> AlpsGeoPlugin:
    """Make the plugin; QGIS calls it by this name, `qgis_process` without an interface."""
    from .plugin import AlpsGeoPlugin

    return AlpsGeoPlugin(iface)
