"""Everything a run can be told, as one frozen value.

The same names are options on the command line, keys of a ``--config`` file, and keys of
``settings`` in ``run.json``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from alps_geo.errors import SettingsError
from alps_geo.masks.generator import GeneratorOptions
from alps_geo.masks.registry import models
from alps_geo.sam.settings import DEVICES, PRECISIONS, MaskSettings

ALPHAS = ("auto", "yes", "no")
FILLS = ("none", "superpixels")
COMPARES = ("weighed", "raw")
FEATURES = ("sam", "spectral", "spread", "texture", "context", "shape")
_TIMM = "timm:"
DEFAULT_CLUSTERS = 24
MAX_CLUSTERS = 65535

SEGMENT_SETTINGS = (
    "model",
    "checkpoint",
    "precision",
    "tile_size",
    "overlap",
    "points_per_side",
    "pred_iou_thresh",
    "stability_score_thresh",
    "max_mask_area",
    "fill",
    "min_area",
    "timm_checkpoint",
    "compare",
)
"""What decides how segments come about, on any scene: a cluster model goes with one way."""

PRESETS: dict[str, dict[str, Any]] = {
    "alps": {
        "clusters": 46,
        "passes": 1,
        "batch_size": 512,
        "pred_iou_thresh": 0.88,
        "stability_score_thresh": 0.95,
        "max_mask_area": 0.3,
        "fill": "none",
        "min_area": 1,
        "features": "sam",
        "compare": "raw",
    }
}
"""Settings that go together; ``alps`` is the published recipe (arXiv 2406.10855, section 4)."""


@dataclass(frozen=True)
class LabelSettings:
    """Settings of `alps_geo.pipeline.label_scenes`.

    Attributes
    ----------
    model : str
        Name of the mask generator's model, a key of `alps_geo.masks.registry.models`.
    checkpoint : str or None
        File with the model's weights; None for the shipped or downloaded one.
    device : str
        One of `DEVICES`; auto is a GPU where there is one.
    precision : str
        One of `PRECISIONS`: float32 gives segment_anything's masks, the others are quicker and
        give nearly the same.
    workers : int
        Processes that work on tiles side by side, each with a model of its own.
    clusters : int or None
        Number of clusters; None for `DEFAULT_CLUSTERS`, or one per segment where there are fewer.
    seed : int
        Seed of the clustering, the only random step.
    passes : int or None
        Passes of mini-batch k-means over all segments; None to begin where k-means on a sample has
        settled, and to go on until the mini-batches settle too.
    batch_size : int
        Segments in a mini-batch.
    clusters_from : str or None
        File with the cluster model to apply; None to fit one.
    bands : tuple of int or None
        Numbers of the one or three bands that SAM sees as red, green and blue; None to find them.
    nodata : float or None
        Value of pixels without data, in place of the scene's own tag.
    alpha : str
        One of `ALPHAS`: whether bands that are tagged as alpha are transparency; auto tells by what
        they hold.
    stretch : tuple of float or None
        Percentiles of the valid pixels that become black and white; None for 2 and 98, and for
        8-bit scenes as they are.
    tile_size : int
        Side of a tile, in pixels.
    overlap : int or None
        Pixels that neighbouring tiles share; None for an eighth of the tile size.
    points_per_side : int
        SAM is prompted with a grid of this many points squared on each tile.
    pred_iou_thresh, stability_score_thresh : float
        Masks that SAM scores lower are dropped.
    max_mask_area : float or None
        Masks that cover a larger share of the tile are dropped: the filtering gate of ALPS. None
        for 0.9 without a fill; a fill sees to masks of unlike things, so then None drops none, for
        a lake may be larger than a tile.
    fill : str
        One of `FILLS`: whether superpixels become segments where SAM leaves gaps or lumps
        different things together.
    min_area : int
        Segments of fewer pixels join their largest neighbour; without a fill they are dropped.
    features : str
        What the clusters compare: some of `FEATURES`, joined by a plus sign. ``context`` is means
        of the bands around each pixel, in Gaussian windows, not features of neighbouring segments.
        ``timm:NAME`` among them stands for the features of a backbone of timm.
    compare : str
        One of `COMPARES`: weighed compares standardised columns, each group of them by its weight,
        and embeddings by their principal components and without what they say about the place in
        the tile; raw compares all columns as they are, as ALPS does.
    timm_checkpoint : str or None
        File with the backbone's weights; None for those that timm downloads.
    simplify : float
        Detail of the polygons' borders that is left out, in metres, or in pixels without a CRS; 0
        for polygons that are the pixels' regions to the last corner.

    Raises
    ------
    SettingsError
        If a value is out of its range.
    """

    model: str = "mobile_sam"
    checkpoint: str | None = None
    device: str = "auto"
    precision: str = "float32"
    workers: int = 1
    clusters: int | None = None
    seed: int = 0
    passes: int | None = None
    batch_size: int = 16_384
    clusters_from: str | None = None
    bands: tuple[int, ...] | None = None
    nodata: float | None = None
    alpha: str = "auto"
    stretch: tuple[float, float] | None = None
    tile_size: int = 1024
    overlap: int | None = None
    points_per_side: int = 32
    pred_iou_thresh: float = 0.7
    stability_score_thresh: float = 0.8
    max_mask_area: float | None = None
    fill: str = "superpixels"
    min_area: int = 16
    features: str = "sam+spectral+texture"
    compare: str = "weighed"
    timm_checkpoint: str | None = None
    simplify: float = 0.0

    def __post_init__(self) -> None:
        _one_of("model", self.model, tuple(models()))
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("alpha", self.alpha, ALPHAS)
        _one_of("fill", self.fill, FILLS)
        _one_of("compare", self.compare, COMPARES)
        others = [name for name in self.feature_names if not name.startswith(_TIMM)]
        for name in others:
            _one_of("features", name, (*FEATURES, f"{_TIMM}NAME"))
        if len(self.feature_names) - len(others) > 1 or f"{_TIMM}" in self.feature_names:
            raise SettingsError(
                f"features is {self.features!r}, expected one backbone after timm:, such as "
                "sam+timm:vit_small_patch14_dinov2.lvd142m"
            )
        _between("workers", self.workers, 1, 1024)
        _between("clusters", self.clusters, 1, MAX_CLUSTERS)
        _between("seed", self.seed, 0, 2**32 - 1)
        _between("passes", self.passes, 1, 1000)
        _between("batch_size", self.batch_size, 1, 2**31)
        _between("tile_size", self.tile_size, 64, 16384)
        _between("overlap", self.overlap, 0, self.tile_size // 2)
        _between("points_per_side", self.points_per_side, 1, 256)
        _between("pred_iou_thresh", self.pred_iou_thresh, 0, 1)
        _between("stability_score_thresh", self.stability_score_thresh, 0, 1)
        _between("max_mask_area", self.max_mask_area, 0, 1)
        _between("min_area", self.min_area, 0, 2**31)
        _between("simplify", self.simplify, 0, 1e6)
        if self.bands is not None and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise SettingsError(
                f"bands is {','.join(map(str, self.bands))}, "
                "expected one or three band numbers from 1, such as 4,3,2"
            )
        if self.stretch is not None and not 0 <= self.stretch[0] < self.stretch[1] <= 100:
            raise SettingsError(
                f"stretch is {self.stretch[0]:g},{self.stretch[1]:g}, "
                "expected two percentiles from 0 to 100, the lower first, such as 2,98"
            )

    @property
    def tile_overlap(self) -> int:
        """The overlap of neighbouring tiles, in pixels."""
        return self.tile_size // 8 if self.overlap is None else self.overlap

    @property
    def mask_area_gate(self) -> float:
        """The share of a tile that a mask may cover."""
        if self.max_mask_area is not None:
            return self.max_mask_area
        return 0.9 if self.fill == "none" else 1.0

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features one by one, each once, in the order of `FEATURES`."""
        chosen = [name.strip() for name in self.features.split("+")]
        unknown = [name for name in chosen if name not in FEATURES]
        return (*unknown, *(name for name in FEATURES if name in chosen))

    @property
    def backbone(self) -> str | None:
        """The name that timm has for the backbone among the features, if one is."""
        names = [name.removeprefix(_TIMM) for name in self.feature_names if name.startswith(_TIMM)]
        return names[0] if names else None

    @property
    def generator_options(self) -> GeneratorOptions:
        """Options of the mask generator."""
        return GeneratorOptions(
            model=self.model,
            checkpoint=self.checkpoint,
            device=self.device,
            precision=self.precision,
            masks=MaskSettings(
                points_per_side=self.points_per_side,
                pred_iou_thresh=self.pred_iou_thresh,
                stability_score_thresh=self.stability_score_thresh,
            ),
            positional=self.compare == "raw",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, in the order of the attributes."""
        return asdict(self)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SettingsError(f"{name} is {value!r}, expected one of {', '.join(known)}")


def _between(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise SettingsError(f"{name} is {value:g}, expected {low:g} to {high:g}")
