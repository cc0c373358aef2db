"""Label georeferenced imagery without annotations: SAM masks, SAM features, k-means."""

from importlib.metadata import version

import lazy_loader

__version__ = version("alps-geo")

# The library is loaded at the first use of a name: `alps-geo --help` waits for none of it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
