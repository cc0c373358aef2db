"""The options that `label`, `fit` and `apply` share, each defined once.

Typer reads a command's options from the signature of its function. `settings_options` puts the
options of `_settings` there in place of a parameter called ``chosen``, which then holds their
values.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_type_hints

import typer

from alps_geo.settings import DEFAULT_CLUSTERS, LabelSettings
from alps_geo_cli.config import read_config, read_model_settings, read_preset
from alps_geo_cli.paths import typed_name, typed_path

Command = TypeVar("Command", bound=Callable[..., None])

DEFAULT = LabelSettings()

MODEL, IMAGERY, MASKS, CLUSTERING, OUTPUT = "Model", "Imagery", "Masks", "Clusters", "Output"

Scenes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCENE...",
        help="Rasters to label: files, folders, globs or URLs; anything GDAL reads. "
        "All of them share one cluster model. Folders and globs leave out results of runs.",
        show_default=False,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace the other run, or other files, that lie where results go; tiles that "
        "still fit are kept.",
        rich_help_panel=OUTPUT,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Do everything again, tiles that are done included.",
        rich_help_panel=OUTPUT,
    ),
]
DiscardEdits = Annotated[
    bool,
    typer.Option(
        "--discard-edits",
        help="Replace polygons that were changed by hand, as in QGIS, since a run wrote them.",
        rich_help_panel=OUTPUT,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Stop at the first tile or scene that fails; else finish the rest, with exit code 3.",
        rich_help_panel=OUTPUT,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        parser=typed_path,
        metavar="FILE",
        help="Take options from a TOML file, or from the run.json of an earlier run; "
        "options that are typed win.",
        is_eager=True,
        callback=read_config,
    ),
]
Preset = Annotated[
    Literal["alps"] | None,
    typer.Option(
        help="Settings that go together: alps is the published recipe, SAM's masks with its "
        "thresholds and a gate of 0.3, their raw features alone, 46 clusters, batches of 512 in "
        "one pass, no fill. Other options win.",
        is_eager=True,
        callback=read_preset,
        rich_help_panel=CLUSTERING,
    ),
]


def _settings(
    clusters_from: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            metavar="MODEL",
            help="Cluster model to apply: what `alps-geo fit` wrote, or clusters.npz of a run. "
            "How its segments were made is the default here.",
            is_eager=True,
            callback=read_model_settings,
            rich_help_panel=CLUSTERING,
        ),
    ] = None,
    model: Annotated[
        Literal["mobile_sam", "vit_b", "vit_l", "vit_h"],
        typer.Option(help="Segment Anything model; see `alps-geo models`.", rich_help_panel=MODEL),
    ] = "mobile_sam",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="File with the model's weights, in place of the shipped or downloaded ones: "
            "MobileSAM's mobile_sam.pt, Meta's .pth, fine-tuned ones, or the same as .safetensors.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option(
            help="Where the model runs; auto is a GPU where there is one.", rich_help_panel=MODEL
        ),
    ] = "auto",
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that work on tiles side by side, each with a model of its own in "
            "memory.",
            rich_help_panel=MODEL,
        ),
    ] = DEFAULT.workers,
    precision: Annotated[
        Literal["float32", "bf16", "fp16"],
        typer.Option(
            help="float32 gives segment_anything's masks; bf16 is quicker and gives nearly the "
            "same, on GPUs and processors that compute in it; fp16 is for GPUs.",
            rich_help_panel=MODEL,
        ),
    ] = "float32",
    clusters: Annotated[
        int | None,
        typer.Option(
            help="Number of clusters, the classes of the map.",
            show_default=f"{DEFAULT_CLUSTERS}, or fewer if there are fewer segments",
            rich_help_panel=CLUSTERING,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the clustering.", rich_help_panel=CLUSTERING)
    ] = DEFAULT.seed,
    batch_size: Annotated[
        int,
        typer.Option(help="Segments in a mini-batch of k-means.", rich_help_panel=CLUSTERING),
    ] = DEFAULT.batch_size,
    passes: Annotated[
        int | None,
        typer.Option(
            help="Passes of the mini-batches over all segments, from k-means++ on.",
            show_default="from where k-means on a sample has settled, until they settle too",
            rich_help_panel=CLUSTERING,
        ),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Numbers of the bands that SAM sees as red, green and blue, or of one band.",
            show_default="by colour interpretation, then description, then 1,2,3",
            rich_help_panel=IMAGERY,
        ),
    ] = None,
    nodata: Annotated[
        float | None,
        typer.Option(
            help="Value of pixels without data.",
            show_default="the scene's own",
            rich_help_panel=IMAGERY,
        ),
    ] = None,
    alpha: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(
            help="Whether bands that are tagged as alpha are transparency, which is missing where "
            "it is 0; auto tells it from near infrared with the wrong tag by what they hold.",
            rich_help_panel=IMAGERY,
        ),
    ] = "auto",
    stretch: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Percentiles of the valid pixels that become black and white for SAM.",
            show_default="2,98; 8-bit scenes as they are",
            rich_help_panel=IMAGERY,
        ),
    ] = None,
    tile_size: Annotated[
        int,
        typer.Option(
            help="Side of a tile, 64 to 16384 pixels. SAM sees every tile at 1024 px, "
            "so a smaller tile means finer objects.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.tile_size,
    overlap: Annotated[
        int | None,
        typer.Option(
            help="Pixels that neighbouring tiles share.",
            show_default="an eighth of the tile size",
            rich_help_panel=MASKS,
        ),
    ] = None,
    points_per_side: Annotated[
        int,
        typer.Option(
            help="SAM is asked at a grid of this many points squared on each tile.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.points_per_side,
    pred_iou_thresh: Annotated[
        float,
        typer.Option(
            help="Drop masks whose IoU SAM predicts to be lower, 0 to 1.", rich_help_panel=MASKS
        ),
    ] = DEFAULT.pred_iou_thresh,
    stability_score_thresh: Annotated[
        float,
        typer.Option(
            help="Drop masks that are less stable than this when the threshold moves, 0 to 1.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.stability_score_thresh,
    max_mask_area: Annotated[
        float | None,
        typer.Option(
            help="Drop masks that cover a larger share of their tile, 0 to 1 "
            "(the filtering gate of ALPS).",
            show_default="0.9 without a fill, else 1",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.max_mask_area,
    fill: Annotated[
        Literal["none", "superpixels"],
        typer.Option(
            help="What becomes of pixels that no mask owns, or that a large mask lumps together.",
            rich_help_panel=MASKS,
        ),
    ] = "superpixels",
    min_area: Annotated[
        int,
        typer.Option(
            help="Segments of fewer pixels join a neighbour; without a fill they are dropped.",
            rich_help_panel=MASKS,
        ),
    ] = DEFAULT.min_area,
    features: Annotated[
        str,
        typer.Option(
            metavar="A+B+...",
            help="What the clusters compare, some of: sam (SAM's embedding), spectral (means of "
            "the bands, NDVI, NDWI), spread (of the bands inside), texture, context (means of the "
            "bands around, in Gaussian windows of 8 and 16 px), shape, timm:NAME (a backbone of "
            "timm).",
            rich_help_panel=CLUSTERING,
        ),
    ] = DEFAULT.features,
    compare: Annotated[
        Literal["weighed", "raw"],
        typer.Option(
            help="weighed: standardised features, each group by its weight, embeddings by their "
            "principal components and without the place in the tile; raw: features as they are.",
            rich_help_panel=CLUSTERING,
        ),
    ] = "weighed",
    timm_checkpoint: Annotated[
        str | None,
        typer.Option(
            parser=typed_name,
            metavar="FILE",
            help="Weights of the backbone after timm:, in place of those that timm downloads.",
            rich_help_panel=CLUSTERING,
        ),
    ] = None,
    simplify: Annotated[
        float,
        typer.Option(
            metavar="METRES",
            help="Draw the polygons' borders without details smaller than this; neighbours keep "
            "their common border. Without it, they follow the pixels.",
            show_default="0",
            rich_help_panel=OUTPUT,
        ),
    ] = DEFAULT.simplify,
) -> None:
    """Hold the options as parameters; it is never called."""


def settings_options(*without: str) -> Callable[[Command], Command]:
    """Give a command the options of a run, all but those named.

    The command takes their values as a dict, in its parameter ``chosen``.
    """
    hints = get_type_hints(_settings, include_extras=True)
    shared = {
        name: parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(_settings).parameters.items()
        if name not in without
    }

    def decorate(command: Command) -> Command:
        own_hints = get_type_hints(command, include_extras=True)
        own = {
            name: parameter.replace(annotation=own_hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(command).parameters.items()
            if name != "chosen"
        }

        @functools.wraps(command)
        def run(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in shared}
            command(**values, chosen=chosen)

        # Options come where they are grouped by panel, and the command's own first.
        parameters = own | shared
        run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        run.__annotations__ = {name: p.annotation for name, p in parameters.items()}
        return cast("Command", run)

    return decorate


def to_settings(chosen: dict[str, Any]) -> LabelSettings:
    """Make settings of the values of options.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """
    values = dict(chosen)
    if values.get("clusters_from") is not None:
        values["clusters_from"] = str(values["clusters_from"])
    values["bands"] = _band_numbers(values["bands"])
    values["stretch"] = _percentiles(values["stretch"])
    return LabelSettings(**values)


def how_to_go_on(*, force: bool) -> str:
    """Say what somebody who stopped a run can do."""
    if force:
        return "the same command without --force goes on where it stopped"
    return "the same command goes on where it stopped"


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Read numbers separated by commas."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers separated by commas", param_hint=option
        ) from None


def _band_numbers(text: str | None) -> tuple[int, ...] | None:
    numbers = _numbers("--bands", text)
    if numbers is None:
        return None
    if any(number != int(number) for number in numbers):
        raise typer.BadParameter(f"{text!r} are not whole numbers", param_hint="--bands")
    return tuple(int(number) for number in numbers)


def _percentiles(text: str | None) -> tuple[float, float] | None:
    numbers = _numbers("--stretch", text)
    if numbers is None:
        return None
    if len(numbers) != 2:
        raise typer.BadParameter(
            f"{text!r} is not two percentiles, such as 2,98", param_hint="--stretch"
        )
    return numbers[0], numbers[1]
