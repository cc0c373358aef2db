"""What several test files call."""

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

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
