"""Datasets: the rasters that a user names, found in files, folders, globs and URLs."""

from alps_geo.datasets.rasters import find_scenes

__all__ = ["find_scenes"]
