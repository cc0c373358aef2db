"""The output of a STAC collection of the run, with an item for each scene."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

from alps_geo.errors import SettingsError
from alps_geo.files import write_bytes
from alps_geo.outputs.names import STAC_COLLECTION, STAC_ITEM
from alps_geo.outputs.output import Output

if TYPE_CHECKING:
    from alps_geo.outputs.output import LabelledRun


class Stac(Output):
    """``collection.json`` and the ``item.json`` of each scene, whose links are relative."""

    files = (STAC_ITEM,)
    run_files = (STAC_COLLECTION,)
    is_map = True
    format = "stac"

    def check_installed(self) -> None:
        """Check that pystac is installed."""
        if find_spec("pystac") is None:
            raise SettingsError(
                "formats has stac, which needs the package pystac, and it is not installed; "
                "pip install 'alps-geo[stac]' installs it"
            )

    def write_run(self, run: LabelledRun) -> None:
        """Write the collection and the items of all scenes."""
        self.check_installed()
        from alps_geo.outputs.pystac import describe_run

        for name, content in describe_run(run).items():
            text = json.dumps(content, indent=2, ensure_ascii=False)
            write_bytes(run.folder / name, f"{text}\n".encode())
