"""Scenes: one georeferenced raster each, read window by window, never held whole in memory.

Opening a scene decides everything once (bands, valid pixels, stretch) from one bounded look at the
whole raster, so that every tile is read by the same rules. Files are opened again for each read: a
`Scene` is a plain value that threads and processes can share.
"""

from alps_geo.scene.describe import open_scene
from alps_geo.scene.read import Scene, TilePixels, read_overview, read_tile
from alps_geo.scene.validity import fill_invalid

__all__ = [
    "Scene",
    "TilePixels",
    "fill_invalid",
    "open_scene",
    "read_overview",
    "read_tile",
]
