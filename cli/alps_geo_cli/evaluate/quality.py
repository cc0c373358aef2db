"""``alps-geo evaluate quality``: labels against ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alps_geo_cli.console import Printing, print_note
from alps_geo_cli.evaluate.truth import Field, Ignore, Layer, Names, listed_values
from alps_geo_cli.paths import typed_name, typed_path

if TYPE_CHECKING:
    from rich.table import Table

    from alps_geo.evaluate import MaskLayout, Quality
    from alps_geo.settings.folder import FolderSettings


def quality(
    *,
    labels: Annotated[
        str,
        typer.Argument(
            parser=typed_name,
            metavar="LABELS",
            help="Raster of cluster ids, such as labels.tif, or a folder of masks, such as "
            "instance_mask or instance_mask/train; 0 is unlabelled.",
        ),
    ],
    truth: Annotated[
        str,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Ground truth: a raster of classes or a vector file of polygons, "
            "on any grid and in any CRS. For a folder of masks a folder of rasters of their names, "
            "pixel by pixel the same.",
        ),
    ],
    truth_ending: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Ending of the names in a folder of truth, such as _labelTrainIds.",
            show_default="the one that fits",
        ),
    ] = None,
    zero_based: Annotated[
        bool | None,
        typer.Option(
            "--zero-based/--one-based",
            help="Cluster ids count from 0, with 255 (65535 in 16 bit) for unlabelled.",
            show_default="as the run of a folder of masks has it, else from 1",
        ),
    ] = None,
    field: Field = None,
    layer: Layer = None,
    ignore: Ignore = None,
    names: Names = None,
    segments: Annotated[
        str | None,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Raster of segment ids, for the oracle score.",
            show_default="segments.tif next to LABELS, if it is there",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            parser=typed_path,
            metavar="DIR",
            help="Folder for quality.json and quality.png.",
            show_default="the folder of LABELS, the run folder of a folder of masks",
        ),
    ] = None,
    printing: Printing,
) -> None:
    """Compare labels with ground truth.

    Each cluster is given the class that most of its pixels have, and clusters and classes are also
    paired one to one. The oracle gives each segment its majority class: no clustering of these
    segments can do better. Pixels without truth do not count; pixels without a label are wrong.
    All masks of a folder are measured as one map.

    Examples
    --------
    alps-geo evaluate quality results/scene/labels.tif --truth classes.tif
    alps-geo evaluate quality ROOT/instance_mask/val --truth ROOT/ann_dir/val
    """
    with printing.errors():
        run = _run_of(labels)
        folder = out or (_folder_of(labels) if run is None else run[0])
        from alps_geo.clusters.names import read_names
        from alps_geo.evaluate import TruthFile, evaluate_quality, quality_record, write_quality
        from alps_geo_cli.progress import counting

        with counting("evaluate", quiet=printing.silent) as listen:
            measured = evaluate_quality(
                labels,
                TruthFile(
                    truth,
                    field,
                    layer,
                    listed_values(ignore),
                    None if names is None else read_names(names, "classes"),
                    truth_ending,
                ),
                segments=segments,
                masks=_mask_layout(None if run is None else run[1], zero_based),
                listen=listen,
            )
        written = write_quality(measured, folder)
    printing.show(quality_record(measured), lambda: _print_quality(measured, written))


def _folder_of(labels: str) -> Path:
    """Return the folder of a local file; others need an --out."""
    if Path(labels).is_dir():
        raise typer.BadParameter(
            f"no run of alps-geo has written the masks of {labels}; give a folder for the results",
            param_hint="--out",
        )
    if not Path(labels).exists():
        from alps_geo.scene.raster import is_local

        if not is_local(labels):
            raise typer.BadParameter(
                f"{labels} lies in no folder of this machine; give one for the results",
                param_hint="--out",
            )
    return Path(labels).parent


def _run_of(labels: str) -> tuple[Path, FolderSettings] | None:
    """Find the run that wrote a folder of masks, or of one split: its folder and its layout."""
    inner = Path(labels).resolve()
    if not inner.is_dir():
        return None
    from alps_geo.runs.folder import RunFolder
    from alps_geo.runs.reading import read_record

    for above in (inner.parent, inner.parent.parent):
        folder = RunFolder(above)
        if folder.record_path.exists() and (images := read_record(folder).folder) is not None:
            written = images.settings
            if inner.relative_to(above).parts[0] == written.mask_dir:
                return above, written
    return None


def _mask_layout(written: FolderSettings | None, zero_based: bool | None) -> MaskLayout:
    """Return names and values of masks, of the run that wrote them, or as typed."""
    from alps_geo.evaluate import MaskLayout

    if written is None:
        return MaskLayout(zero_based=bool(zero_based))
    from_zero = written.zero_based if zero_based is None else zero_based
    return MaskLayout(written.mask_ending, from_zero)


def _print_quality(measured: Quality, written: tuple[Path, ...]) -> None:
    from rich.console import Console

    console = Console()
    console.print(_score_table(measured))
    console.print(_class_table(measured))
    groups = measured.v_measure
    unused = measured.truth_without_labels
    if unused:
        print_note(
            f"files of truth that have no mask and do not count: {len(unused)}, such as {unused[0]}"
        )
    console.print(
        f"coverage {measured.coverage:.1%} of {measured.table.pixels:,} pixels with truth"
        f"{_of_images(measured.images)}\n"
        f"V-measure {groups.v_measure:.3f} (homogeneity {groups.homogeneity:.3f}, "
        f"completeness {groups.completeness:.3f}), adjusted Rand {measured.adjusted_rand:.3f}",
        highlight=False,
    )
    for path in written:
        console.print(str(path), soft_wrap=True, highlight=False, markup=False)


def _of_images(count: int) -> str:
    return f" in {count:,} images" if count > 1 else ""


def _score_table(measured: Quality) -> Table:
    from rich.table import Table

    table = Table(title=f"{(measured.table.ids != 0).sum()} clusters against the truth")
    table.add_column("")
    for title in ("accuracy", "mean IoU", "mean F1"):
        table.add_column(title, justify="right")
    rows = {
        "majority class of each cluster": measured.majority,
        "clusters and classes one to one": measured.one_to_one,
        "oracle: majority class of each segment": measured.oracle,
    }
    for name, scores in rows.items():
        if scores is not None:
            values = (scores.accuracy, scores.mean_iou, scores.mean_f1)
            table.add_row(name, *(f"{value:.3f}" for value in values))
    return table


def _class_table(measured: Quality) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="majority class of each cluster")
    table.add_column("class")
    titles = ["share", "IoU", "F1"]
    titles += [f"boundary F1\n{scores.tolerance} px" for scores in measured.boundary]
    for title in titles:
        table.add_column(title, justify="right")
    shares = measured.table.class_pixels / measured.table.pixels
    columns = [measured.majority.iou, measured.majority.f1]
    columns += [scores.f1 for scores in measured.boundary]
    for index, name in enumerate(measured.class_names):
        values = (_number(column[index]) for column in columns)
        table.add_row(escape(name), f"{shares[index]:.1%}", *values)
    means = [measured.majority.mean_iou, measured.majority.mean_f1]
    means += [scores.mean_f1 for scores in measured.boundary]
    table.add_section()
    table.add_row("mean", "", *map(_number, means))
    return table


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
