"""The settings of a run, as one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from alps_geo.fields import (
    AtLeast,
    BandNumbers,
    Between,
    Choices,
    FilePath,
    Percentiles,
    Rule,
    SomeOf,
    Stage,
    check_fields,
    documented,
    setting,
    settings_of,
)
from alps_geo.fields.formats import GEOPACKAGE, PREVIEW_FORMATS, RESULT_FORMATS, ChosenFormats
from alps_geo.masks.generator import GeneratorOptions
from alps_geo.masks.registry import models
from alps_geo.sam.settings import DEVICES, PRECISIONS, MaskSettings
from alps_geo.settings.clusters import ClusterSettings
from alps_geo.settings.models import ModelName
from alps_geo.settings.panels import IMAGERY, MASKS, MODEL, OUTPUT
from alps_geo.settings.points import Points, PointsRule, check_prompts
from alps_geo.settings.scheduler import check_workers, dask_setting, wait_setting
from alps_geo.settings.sizes import DEFAULT_TILE_SIZE, FallingSizes, as_sizes, default_overlap


@documented
@dataclass(frozen=True)
class LabelSettings(ClusterSettings):
    """Settings of `alps_geo.pipeline.scenes.label_scenes`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    model: str = setting(
        "mobile_sam",
        ModelName(tuple(models())),
        "Segment Anything model; see `alps-geo models`.",
        MODEL,
        decides="tiles",
    )
    checkpoint: str | None = setting(
        None,
        FilePath(),
        "File with the model's weights, in place of the shipped or downloaded ones: MobileSAM's "
        "mobile_sam.pt, Meta's .pth, fine-tuned ones, or the same as .safetensors.",
        MODEL,
        decides="tiles",
        metavar="FILE",
    )
    device: str = setting(
        "auto",
        Choices(DEVICES),
        "Where the model runs; auto is a GPU where there is one.",
        MODEL,
        decides="nothing",
    )
    workers: int = setting(
        1,
        Between(1, 1024),
        "Processes that work side by side: on tiles, each with a model of its own in memory, and "
        "on what is made of them.\n\n"
        "The results are the same.",
        MODEL,
        decides="nothing",
    )
    dask: str | None = dask_setting(MODEL, "the run folder and the scenes")
    wait: float = wait_setting(MODEL)
    precision: str = setting(
        "float32",
        Choices(PRECISIONS),
        "float32 gives segment_anything's masks; bf16 is quicker and gives nearly the same, on "
        "GPUs and processors that compute in it; fp16 is for GPUs.",
        MODEL,
        decides="tiles",
    )
    bands: tuple[int, ...] | None = setting(
        None,
        BandNumbers(),
        "Numbers of the bands that SAM sees as red, green and blue, or of one band.",
        IMAGERY,
        decides="scene",
        metavar="R,G,B",
        shown="by colour interpretation, then description, then 1,2,3",
    )
    nodata: float | None = setting(
        None,
        Rule(),
        "Value of pixels without data.\n\nIn place of that in the file; nan where none is nodata.",
        IMAGERY,
        decides="scene",
        shown="the scene's own",
    )
    alpha: str = setting(
        "auto",
        Choices(("auto", "yes", "no")),
        "Take bands that are tagged as alpha for transparency, where pixels of 0 are missing, or "
        "for data; auto tells transparency from near infrared with the wrong tag by what they "
        "hold.",
        IMAGERY,
        decides="scene",
    )
    stretch: tuple[float, float] | None = setting(
        None,
        Percentiles(),
        "Percentiles of the valid pixels that become black and white for SAM.\n\n"
        "16-bit and float values become 8 bits by them.",
        IMAGERY,
        decides="scene",
        metavar="LOW,HIGH",
        shown="2,98; 8-bit scenes as they are",
    )
    tile_size: int | tuple[int, ...] = setting(
        DEFAULT_TILE_SIZE,
        FallingSizes(64, 16384, most=3),
        "Side of a tile, 64 to 16384 pixels. SAM sees every tile at 1024 px, so a smaller tile "
        "means finer objects. With further, smaller sizes, such as 1024,512, SAM sees every tile "
        "whole, and its parts of about those sizes too.\n\n"
        "It also means more time: each part is asked at as many points as a whole tile.",
        MASKS,
        decides="tiles",
        metavar="PX,...",
    )
    overlap: int | None = setting(
        None,
        AtLeast(0),
        "Pixels that neighbouring tiles share.\n\nAt most half of the tile size.",
        MASKS,
        decides="tiles",
        shown="an eighth of the tile size",
    )
    points: str = setting(
        "grid:32",
        PointsRule(),
        "Points of a tile where SAM looks for masks: grid:N, N x N of them; regions:N, one inside "
        "each of N regions of even colour; none, for no masks.\n\nTime grows with their number.",
        MASKS,
        decides="tiles",
        metavar="KIND:N",
    )
    pred_iou_thresh: float = setting(
        0.7,
        Between(0, 1),
        "Drop masks whose IoU SAM predicts to be lower, 0 to 1.\n\n"
        "Lower means more masks, and worse ones.",
        MASKS,
        decides="tiles",
    )
    stability_score_thresh: float = setting(
        0.8,
        Between(0, 1),
        "Drop masks that are less stable than this when the threshold moves, 0 to 1.\n\n"
        "Lower means more masks, and worse ones.",
        MASKS,
        decides="tiles",
    )
    max_mask_area: float | None = setting(
        None,
        Between(0, 1),
        "Drop masks that cover a larger share of their tile, 0 to 1 (the filtering gate of ALPS)."
        "\n\nA fill splits masks of unlike things by itself, and a lake may be larger than a tile; "
        "so with a fill no mask is dropped by default.",
        MASKS,
        decides="tiles",
        shown="0.9 without a fill, else 1",
    )
    fill: str = setting(
        "superpixels",
        Choices(("none", "superpixels")),
        "What becomes of pixels that no mask owns, or that a large mask lumps together.\n\n"
        "With superpixels they become small segments, so that every pixel has a label; none "
        "leaves them unlabelled.",
        MASKS,
        decides="tiles",
    )
    superpixel_size: int = setting(
        16,
        Between(4, 64),
        "Side of the superpixels of a fill, 4 to 64 pixels. Smaller ones draw finer outlines and "
        "leave more segments.\n\n"
        "With larger ones, larger masks of SAM stay whole that are uneven. Superpixels of fewer "
        "pixels than `--min-area` join a neighbour.",
        MASKS,
        decides="tiles",
    )
    min_area: int = setting(
        16,
        Between(0, 2**31),
        "Segments of fewer pixels join a neighbour; without a fill they are dropped.",
        MASKS,
        decides="segments",
    )
    simplify: float = setting(
        0.0,
        Between(0, 1e6),
        "Draw the polygons' borders without details smaller than this; neighbours keep their "
        "common border. Without it, they follow the pixels.\n\n"
        "In metres, or in pixels without a CRS. `area_m2` and `perimeter_m` are of what is drawn, "
        "`raster_area_m2` and `raster_perimeter_m` of the segment's pixels.",
        OUTPUT,
        decides="outputs",
        metavar="METRES",
        shown="0",
    )
    formats: tuple[str, ...] = setting(
        (GEOPACKAGE,),
        SomeOf(RESULT_FORMATS, silent=(GEOPACKAGE,)),
        "Formats of the polygons: gpkg, which is always written, geoparquet, flatgeobuf and "
        "geojson, with commas between them; stac describes all results for catalogues.\n\n"
        "geoparquet and stac need `pip install 'alps-geo[parquet,stac]'`.",
        OUTPUT,
        decides="outputs",
        metavar="FORMAT,...",
        shown=GEOPACKAGE,
    )
    preview_format: tuple[str, ...] = setting(
        ("png",),
        SomeOf(PREVIEW_FORMATS, silent=("png",)),
        "Formats of the preview of each scene; pdf and svg have text and lines that stay sharp at "
        "any size.\n\nAll are laid out for a width of 25 cm.",
        OUTPUT,
        decides="outputs",
        metavar="FORMAT,...",
        shown="png",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        Between(0, self.tile_sizes[0] // 2).check("overlap", self.overlap)
        check_prompts(self.points, self.fill)
        check_workers(self.workers, self.dask)

    @property
    def chosen_formats(self) -> ChosenFormats:
        """The formats of the results."""
        return ChosenFormats(self.formats, self.preview_format)

    @property
    def tile_sizes(self) -> tuple[int, ...]:
        """Side of a tile, and sizes of the views of its parts, in pixels."""
        return as_sizes(self.tile_size)

    @property
    def tile_overlap(self) -> int:
        """The overlap of neighbouring tiles, in pixels."""
        return default_overlap(self.tile_sizes[0]) if self.overlap is None else self.overlap

    @property
    def fills(self) -> bool:
        """True if superpixels become segments where SAM leaves gaps."""
        return self.fill == "superpixels"

    @property
    def fill_size(self) -> int | None:
        """The side of the superpixels that become segments; None without a fill."""
        return self.superpixel_size if self.fills else None

    @property
    def is_published(self) -> bool:
        """True if masks are described whole, and clustered in their order, as ALPS does."""
        return self.is_raw and not self.fills

    @property
    def neighbour_share(self) -> float:
        """The share of neighbours; they have none in masks that are described as published."""
        return 0.0 if self.is_published else self.neighbours

    @property
    def mask_area_gate(self) -> float:
        """The share of a tile that a mask may cover."""
        default = 1.0 if self.fills else 0.9
        return default if self.max_mask_area is None else self.max_mask_area

    @property
    def mask_settings(self) -> MaskSettings:
        """Settings of the masks of one tile."""
        return MaskSettings(
            points_per_side=Points.read(self.points).per_side,
            pred_iou_thresh=self.pred_iou_thresh,
            stability_score_thresh=self.stability_score_thresh,
        )

    @property
    def generator_options(self) -> GeneratorOptions:
        """Options of the mask generator."""
        return GeneratorOptions(
            model=self.model,
            checkpoint=self.checkpoint,
            device=self.device,
            precision=self.precision,
            masks=self.mask_settings,
            positional=self.is_raw,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the settings as plain values, in the order of the fields."""
        return asdict(self)

    def deciding(self, *stages: Stage, files: bool = False) -> dict[str, object]:
        """Return the settings that decide some stages, as fingerprints hold them.

        Parameters
        ----------
        *stages : Stage
            The stages; all of `STAGES` for the results of a run.
        files : bool
            True for paths of files too, whose content decides and not their names.
        """
        return {
            stored: value
            for name, known in settings_of(LabelSettings).items()
            if known.decides in stages and (files or not isinstance(known.within, FilePath))
            if not known.within.is_silent(getattr(self, name))
            for stored, value in [known.within.stored(name, getattr(self, name))]
        }

    def tile_values(self) -> dict[str, object]:
        """Return the part that settings have in the fingerprint of a scene's tiles.

        The tile grid and the digests of weights, which hold the rest, are not in it.
        """
        masks = asdict(self.mask_settings)
        elsewhere = {"model", "tile_size", "overlap", "superpixel_size", *masks}
        return {
            **{k: v for k, v in self.deciding("scene", "tiles").items() if k not in elsewhere},
            "masks": masks,
            "max_mask_area": self.mask_area_gate,
            "backbone": self.backbone,
            # Tiles that were stored before other sizes could be chosen remain.
            **({} if self._cut_size in (None, 16) else {"superpixel_size": self._cut_size}),
            **({"views": list(views)} if (views := self.tile_sizes[1:]) else {}),
        }

    @property
    def _cut_size(self) -> int | None:
        """The side of the superpixels that tiles are cut into; None if they are not."""
        return self.superpixel_size if self.fills or Points.read(self.points).regions else None
