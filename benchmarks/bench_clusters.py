"""Time and memory of fitting and applying a cluster model, on tables of ever more segments.

    python benchmarks/bench_clusters.py                       # 100 thousand, 1 million, 10 million
    python benchmarks/bench_clusters.py --segments 1000000    # one size
    python benchmarks/bench_clusters.py --folder /big/disk    # 10 million take 11 GB for a while

Tables hold the columns that a scene with red, green, blue and near infrared has by default, on disk
and as a run keeps them. Their rows are drawn: patches of a hundred classes, lengthened along a few
directions as embeddings are, so that no clustering is plain. The model is fitted with the defaults
of `alps-geo label`, one k-means thread as there, and applied. Each size runs in a process of its
own, whose peak memory is read from the kernel.

Printed are the seconds of fitting and of applying, how many times each row was read for it, the
peak, and the exponent with which the seconds grow with the number of segments.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from reporting import make_parser, resident_bytes, write_report
from rich.console import Console
from rich.table import Table

from alps_geo.clusters.fit import fit_clusters
from alps_geo.features.columns import ColumnSchema
from alps_geo.pipeline.stages import recipe_of
from alps_geo.sam.frame import CHANNELS
from alps_geo.segments.table import open_table
from alps_geo.settings import DEFAULT_CLUSTERS, LabelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alps_geo.features.columns import Columns
    from alps_geo.segments.table import SegmentTable

BANDS = ("red", "green", "blue", "nir")
SIZES = (100_000, 1_000_000, 10_000_000)
CLASSES = 100
DIRECTIONS = 12
"""Along which segments of a class differ."""

_ROWS = 50_000


@dataclass
class Counted:
    """A table that counts the rows that are read of it."""

    table: SegmentTable
    rows: int = field(default=0)

    @property
    def kind(self) -> str:
        """As in `alps_geo.features.columns.Table`."""
        return self.table.kind

    @property
    def features(self) -> tuple[str, ...]:
        """As in `alps_geo.features.columns.Table`."""
        return self.table.features

    @property
    def names(self) -> tuple[str, ...]:
        """As in `alps_geo.features.columns.Table`."""
        return self.table.names

    @property
    def source(self) -> Counted:
        """The same table, which counts."""
        return self

    def __len__(self) -> int:
        return len(self.table)

    def read(self, start: int, stop: int) -> Columns:
        """Return some rows, half-open."""
        self.rows += stop - start
        return self.table.read(start, stop)


def main() -> None:
    options = _options()
    if options.one is not None:
        print(json.dumps(_measure(options.one, options.clusters)))
        return
    rows = []
    for segments in options.segments:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write_table(Path(folder), segments)
            command = [sys.executable, *sys.argv, "--one", folder]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(answer.stdout.splitlines()[-1]))
        print(f"{segments:,} segments: {rows[-1]['fit_seconds']:.0f} s", file=sys.stderr)
    report: dict[str, Any] = {"sizes": rows}
    if len(rows) > 1:
        number, seconds = (np.log([r[key] for r in rows]) for key in ("segments", "fit_seconds"))
        report["exponent"] = float(np.polyfit(number, seconds, 1)[0])
    _print(report)
    write_report(report, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--segments",
        type=int,
        nargs="+",
        default=SIZES,
        metavar="N",
        help="sizes of the tables (default: %(default)s)",
    )
    parser.add_argument("--clusters", type=int, default=DEFAULT_CLUSTERS, metavar="K")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the tables lie meanwhile")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_table(folder: Path, segments: int) -> None:
    """Write a table for `alps_geo.segments.table.open_table`, a few rows at a time."""
    rng = np.random.default_rng(0)
    features = LabelSettings().feature_names
    schema = ColumnSchema(tuple(BANDS), "uint8", features, {"sam": CHANNELS})
    columns = schema.columns(schema.no_segments())
    values = np.lib.format.open_memmap(
        folder / "columns.npy", "w+", np.float32, (segments, len(columns.names))
    )
    start = 0
    for rows in _rows(rng, segments, len(columns.names)):
        values[start : start + len(rows)] = rows
        start += len(rows)
    values.flush()
    np.savez(
        folder / "segments.npz",
        kind=np.array(columns.kind),
        features=np.array(columns.features),
        names=np.array(columns.names),
        rows=rng.permutation(segments).astype(np.uint32) + np.uint32(1),
        area=rng.integers(16, 2000, segments),
    )


def _rows(rng: np.random.Generator, segments: int, columns: int) -> Iterator[NDArray[np.float32]]:
    """Draw rows in patches of one class, as neighbours in a scene are."""
    centers = rng.standard_normal((CLASSES, columns), np.float32)
    directions = rng.standard_normal((DIRECTIONS, columns), np.float32)
    for start in range(0, segments, _ROWS):
        count = min(_ROWS, segments - start)
        classes = np.repeat(rng.integers(0, CLASSES, -(-count // 20)), 20)[:count]
        along = rng.standard_normal((count, DIRECTIONS), np.float32)
        rows = rng.standard_normal((count, columns), np.float32)
        rows += centers[classes]
        rows += along @ directions
        yield rows


def _measure(folder: Path, clusters: int) -> dict[str, Any]:
    """Fit and apply a model in this process."""
    before = resident_bytes(peak=True) / 2**20
    begin = perf_counter()
    table = Counted(open_table(folder))
    recipe = recipe_of(LabelSettings())
    model = fit_clusters([table], [table.table.area], clusters, seed=0, recipe=recipe).model
    fitted, read = perf_counter(), table.rows
    fit_peak = resident_bytes(peak=True) / 2**20
    assigned = model.apply(table).by_id(table.table.rows)
    end = perf_counter()
    return {
        "segments": len(table),
        "columns": len(table.names),
        "columns_mib": (folder / "columns.npy").stat().st_size / 2**20,
        "clusters": len(np.unique(assigned.cluster)),
        "fit_seconds": fitted - begin,
        "fit_reads": read / len(table),
        "apply_seconds": end - fitted,
        "libraries_mib": before,
        "fit_peak_mib": fit_peak,
        "peak_mib": resident_bytes(peak=True) / 2**20,
    }


def _print(report: dict[str, Any]) -> None:
    table = Table()
    titles = ("segments", "on disk, MiB", "fit s", "reads", "apply s", "fit, peak MiB", "peak MiB")
    for title in titles:
        table.add_column(title, justify="right")
    for row in report["sizes"]:
        table.add_row(
            f"{row['segments']:,}",
            f"{row['columns_mib']:,.0f}",
            f"{row['fit_seconds']:.1f}",
            f"{row['fit_reads']:.0f}",
            f"{row['apply_seconds']:.1f}",
            *(f"{row[key]:,.0f}" for key in ("fit_peak_mib", "peak_mib")),
        )
    console = Console()
    console.print(table)
    if "exponent" in report:
        console.print(
            f"seconds of fitting grow with segments to the power {report['exponent']:.3f}"
        )


if __name__ == "__main__":
    main()
