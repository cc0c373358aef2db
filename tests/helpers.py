"""What several test files call."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner

from alps_geo.features import RegionSums
from alps_geo_cli.main import app

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Outcome:
    """What a command gave back."""

    exit_code: int
    stdout: str
    stderr: str


def alps_geo(*arguments: object) -> Outcome:
    """Run the program in this process; an exception that it lets through is a failure."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def region_sums(area: NDArray[np.int64], **sums: NDArray[Any]) -> RegionSums:
    """Sums of regions of which only some are given; the others are 0, one column each."""
    arrays: dict[str, NDArray[Any]] = {
        field.name: np.zeros((len(area), 1)) for field in fields(RegionSums)
    }
    arrays |= {"score_sums": np.zeros((len(area), 2)), "moment_sums": np.zeros((len(area), 5))}
    return RegionSums(**{**arrays, "mask_area": area, **sums, "area": area})
