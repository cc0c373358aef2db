"""The settings of a run, as one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from alps_geo.clusters.limits import COLORS, MAX_CLUSTERS
from alps_geo.features.registry import split_feature
from alps_geo.fields import (
    AtLeast,
    BandNumbers,
    Between,
    Choices,
    FilePath,
    Percentiles,
    Rule,
    Stage,
    check_fields,
    documented,
    setting,
    settings_of,
)
from alps_geo.masks.generator import GeneratorOptions
from alps_geo.masks.registry import models
from alps_geo.sam.settings import DEVICES, PRECISIONS, MaskSettings
from alps_geo.settings.features import FeatureNames, chosen_features
from alps_geo.settings.models import ModelName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_CLUSTERS = 24

MODEL, IMAGERY, MASKS, CLUSTERING, OUTPUT = "Model", "Imagery", "Masks", "Clusters", "Output"
"""Panels of options."""


def default_overlap(tile_size: int) -> int:
    """Return the pixels that neighbouring tiles share unless told otherwise."""
    return tile_size // 8


def current_words(
    values: Mapping[str, Any], note: Callable[[str], None] | None = None
) -> Mapping[str, Any]:
    """Return stored or typed values of settings, with today's words for those of before.

    >>> current_words({"compare": "weighed", "clusters": 12})
    {'compare': 'weighted', 'clusters': 12}

    Parameters
    ----------
    values : mapping of str to object
        Some of the settings, by name.
    note : callable, optional
        Given a line for each word that is replaced.
    """
    current = dict(values)
    for name, known in settings_of(LabelSettings).items():
        if isinstance(known.within, Choices) and name in values:
            current[name] = known.within.current(values[name])
            if note is not None and current[name] != values[name]:
                note(f"{name} {values[name]} is called {current[name]} now")
    return current


@documented
@dataclass(frozen=True)
class LabelSettings:
    """Settings of `alps_geo.pipeline.scenes.label_scenes`.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    clusters_from: str | None = setting(
        None,
        FilePath(),
        "Cluster model to apply: what `alps-geo fit` wrote, or clusters.npz of a run. How its "
        "segments were made is the default here.",
        CLUSTERING,
        decides="clusters",
        metavar="MODEL",
    )
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
        "Processes that work on tiles side by side, each with a model of its own in memory.\n\n"
        "The results are the same.",
        MODEL,
        decides="nothing",
    )
    precision: str = setting(
        "float32",
        Choices(PRECISIONS),
        "float32 gives segment_anything's masks; bf16 is quicker and gives nearly the same, on "
        "GPUs and processors that compute in it; fp16 is for GPUs.",
        MODEL,
        decides="tiles",
    )
    clusters: int | None = setting(
        None,
        Between(1, MAX_CLUSTERS),
        "Number of clusters of the map.",
        CLUSTERING,
        decides="clusters",
        shown=f"{DEFAULT_CLUSTERS}, or fewer if there are fewer segments",
    )
    seed: int = setting(
        0, Between(0, 2**32 - 1), "Seed of the clustering.", CLUSTERING, decides="clusters"
    )
    batch_size: int = setting(
        16_384,
        Between(1, 2**31),
        "Segments in a mini-batch of k-means.",
        CLUSTERING,
        decides="clusters",
    )
    passes: int | None = setting(
        None,
        Between(1, 1000),
        "Passes of the mini-batches over all segments, from k-means++ on.",
        CLUSTERING,
        decides="clusters",
        shown="from where k-means on a sample has settled, until they settle too",
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
    tile_size: int = setting(
        1024,
        Between(64, 16384),
        "Side of a tile, 64 to 16384 pixels. SAM sees every tile at 1024 px, so a smaller tile "
        "means finer objects.\n\nIt also means more time.",
        MASKS,
        decides="tiles",
    )
    overlap: int | None = setting(
        None,
        AtLeast(0),
        "Pixels that neighbouring tiles share.\n\nAt most half of the tile size.",
        MASKS,
        decides="tiles",
        shown="an eighth of the tile size",
    )
    points_per_side: int = setting(
        32,
        Between(1, 256),
        "SAM is asked at a grid of this many points squared on each tile.\n\n"
        "Time grows with the square.",
        MASKS,
        decides="tiles",
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
    min_area: int = setting(
        16,
        Between(0, 2**31),
        "Segments of fewer pixels join a neighbour; without a fill they are dropped.",
        MASKS,
        decides="segments",
    )
    features: str = setting(
        "sam+spectral+texture",
        FeatureNames(),
        "What the clusters compare, some of: sam (SAM's embedding), spectral (means of the bands, "
        "NDVI, NDWI), spread (of the bands inside), texture, context (means of the bands around, "
        "in Gaussian windows of 8 and 16 px), shape, timm:NAME (a backbone of timm).\n\n"
        "Such as sam+timm:vit_small_patch14_dinov2.lvd142m; the backbone must take images of any "
        "size, and another one needs the tiles again.",
        CLUSTERING,
        decides="clusters",
        metavar="A+B+...",
    )
    timm_checkpoint: str | None = setting(
        None,
        FilePath(),
        "Weights of the backbone after timm:, in place of those that timm downloads.",
        CLUSTERING,
        decides="tiles",
        metavar="FILE",
    )
    compare: str = setting(
        "weighted",
        Choices(("weighted", "raw"), earlier=(("weighed", "weighted"),)),
        "weighted: standardised features, each group by its weight, embeddings by their principal "
        "components and without the position in the tile; raw: features as they are.\n\n"
        "With raw and `--fill none`, as published, a mask is described by its pixels under smaller "
        "masks too, and the batches of `--passes` come in the order of the segments.",
        CLUSTERING,
        decides="tiles",
    )
    colors: str = setting(
        "natural",
        Choices(COLORS),
        "Colours of clusters: natural ones, like their mean in the image, or distinct ones.",
        CLUSTERING,
        decides="clusters",
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

    def __post_init__(self) -> None:
        check_fields(self)
        Between(0, self.tile_size // 2).check("overlap", self.overlap)

    @property
    def tile_overlap(self) -> int:
        """The overlap of neighbouring tiles, in pixels."""
        return default_overlap(self.tile_size) if self.overlap is None else self.overlap

    @property
    def fills(self) -> bool:
        """True if superpixels become segments where SAM leaves gaps."""
        return self.fill == "superpixels"

    @property
    def is_raw(self) -> bool:
        """True if features are compared as they are, as ALPS does."""
        return self.compare == "raw"

    @property
    def is_published(self) -> bool:
        """True if masks are described whole, and clustered in their order, as ALPS does."""
        return self.is_raw and not self.fills

    @property
    def mask_area_gate(self) -> float:
        """The share of a tile that a mask may cover."""
        default = 1.0 if self.fills else 0.9
        return default if self.max_mask_area is None else self.max_mask_area

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features one by one, each once: a backbone, then groups in their order."""
        return chosen_features(self.features)

    @property
    def backbone(self) -> str | None:
        """The name that timm has for the backbone among the features, if one is."""
        return next((name for _, name in map(split_feature, self.feature_names) if name), None)

    @property
    def mask_settings(self) -> MaskSettings:
        """Settings of the masks of one tile."""
        return MaskSettings(**{name: getattr(self, name) for name in _mask_names()})

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
            name: known.within.stored(getattr(self, name))
            for name, known in settings_of(LabelSettings).items()
            if known.decides in stages and (files or not isinstance(known.within, FilePath))
        }

    def tile_values(self) -> dict[str, object]:
        """Return the part that settings have in the fingerprint of a scene's tiles.

        The tile grid and the digests of weights, which hold the rest, are not in it.
        """
        elsewhere = {"model", "tile_size", "overlap", *_mask_names()}
        deciding = self.deciding("scene", "tiles")
        return {
            **{name: value for name, value in deciding.items() if name not in elsewhere},
            "masks": asdict(self.mask_settings),
            "max_mask_area": self.mask_area_gate,
            "backbone": self.backbone,
        }


def _mask_names() -> tuple[str, ...]:
    """Names of the settings of masks that a run can be told."""
    run = settings_of(LabelSettings)
    return tuple(each.name for each in fields(MaskSettings) if each.name in run)
