"""The Processing provider: the algorithms of the program under the id ``alps``."""

from __future__ import annotations

from pathlib import Path

from qgis.core import Qgis, QgsMessageLog, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms import ALGORITHMS
from .installation import read_installation

ICON = Path(__file__).parent / "icon.svg"


class AlpsGeoProvider(QgsProcessingProvider):
    """Algorithms that run the program this plugin was installed from."""

    def id(self) -> str:
        """Return the part of the algorithms' ids before the colon."""
        return "alps"

    def name(self) -> str:
        """Return the name in the toolbox."""
        return "alps-geo"

    def icon(self) -> QIcon:
        """Return the icon in the toolbox."""
        return QIcon(str(ICON))

    def loadAlgorithms(self) -> None:
        """Add the algorithms, with the options of the program as it was when it was installed."""
        try:
            installation = read_installation()
        except (OSError, ValueError, KeyError, TypeError) as error:
            QgsMessageLog.logMessage(
                f"the note of the program cannot be read ({error}); "
                "`alps-geo qgis install` writes it again",
                "alps-geo",
                Qgis.Critical,
            )
            return
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm(installation))
