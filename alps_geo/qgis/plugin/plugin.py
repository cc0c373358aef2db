"""The plugin as QGIS sees it: it brings a Processing provider, and nothing else."""

from __future__ import annotations

from qgis.core import QgsApplication

from .provider import AlpsGeoProvider


class AlpsGeoPlugin:
    """Adds the provider when QGIS loads the plugin, and removes it in the end."""

    def __init__(self, iface: object) -> None:
        self._provider: AlpsGeoProvider | None = None

    def initProcessing(self) -> None:
        """Add the provider; all that `qgis_process` asks for."""
        self._provider = AlpsGeoProvider()
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Add the provider to the toolbox."""
        self.initProcessing()

    def unload(self) -> None:
        """Remove the provider."""
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
