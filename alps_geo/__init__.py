"""Label georeferenced imagery without annotations: SAM masks, SAM features, k-means."""

from importlib.metadata import version

__version__ = version("alps-geo")

__all__ = ["__version__"]
