"""Versions of the programs that decide results, and the device of models, for bug reports."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from alps_geo import __version__


def version_lines() -> list[str]:
    """List alps-geo, Python, torch with its device, and GDAL; torch takes a second to load.

    A library that cannot be loaded is listed with the reason.
    """
    return [
        f"alps-geo {__version__}",
        f"Python {platform.python_version()}",
        f"torch {_installed('torch')}, {_device()}",
        f"GDAL {_gdal()}, rasterio {_installed('rasterio')}",
    ]


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def _device() -> str:
    try:
        from alps_geo.sam.model import describe_device

        return f"device {describe_device()}"
    except (ImportError, OSError) as error:
        return _unusable(error)


def _gdal() -> str:
    try:
        import rasterio
    except (ImportError, OSError) as error:
        return _unusable(error)
    return str(rasterio.__gdal_version__)


def _unusable(error: Exception) -> str:
    return f"cannot be loaded: {' '.join(str(error).split())}"
