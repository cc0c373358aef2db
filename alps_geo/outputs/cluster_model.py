"""The output of the cluster model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alps_geo.files import write_bytes
from alps_geo.outputs.names import MODEL
from alps_geo.outputs.output import Output

if TYPE_CHECKING:
    from alps_geo.outputs.output import LabelledRun


class ModelFile(Output):
    """``clusters.npz``, to be applied to other scenes."""

    run_files = (MODEL,)

    def write_run(self, run: LabelledRun) -> None:
        """Write the model."""
        write_bytes(run.folder / MODEL, run.model.to_bytes())
