"""Options, reports and memory that all benchmarks have in common."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser that shows a module's docstring, with the option ``--json``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON too")
    return parser


def write_report(report: Any, path: Path | None) -> None:
    """Write figures as JSON, if a path is given."""
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def resident_bytes(*, peak: bool = False) -> int:
    """Measure this process's resident memory, or its peak; `getrusage` begins with the parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM" if peak else "VmRSS"].split()[0]) * 1024
