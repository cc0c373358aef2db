"""The settings of a run that decide what clusters compare, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from alps_geo.clusters.limits import COLORS, MAX_CLUSTERS
from alps_geo.features.registry import split_feature
from alps_geo.fields import Between, Choices, FilePath, Rule, documented, setting
from alps_geo.settings.features import FeatureNames, chosen_features
from alps_geo.settings.panels import CLUSTERING

DEFAULT_CLUSTERS = 24


@documented
@dataclass(frozen=True)
class ClusterSettings:
    """Settings of the clusters; part of `alps_geo.settings.LabelSettings`, which checks them."""

    clusters_from: str | None = setting(
        None,
        FilePath(),
        "Cluster model to apply: what `alps-geo fit` wrote, or clusters.npz of a run, here or in "
        "an object store. How its segments were made is the default here.",
        CLUSTERING,
        decides="clusters",
        metavar="MODEL",
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
    small_clusters: int = setting(
        40,
        Between(1, 1000),
        "Small clusters that are found first for each cluster of the map, which is then put "
        "together of them; 1 finds clusters at once.\n\n"
        "So a class of few segments keeps a cluster of its own, and labels depend less on chance.",
        CLUSTERING,
        decides="clusters",
    )
    merge: bool = setting(
        True,
        Rule(),
        "Whether superpixels that touch and are alike become one segment. Masks stay as they are.",
        CLUSTERING,
        decides="segments",
    )
    merge_strength: float = setting(
        0.1,
        Between(0, 1000),
        "How unlike superpixels may be that become one segment: 0.05 leaves about 60 % of them, "
        "0.1 about 45 %, 0.15 about 40 %.\n\n"
        "Highest growth of the squared distances to the mean, in the space that clusters "
        "compare, in units of 16 x 16 pixels (Ward's cost). 0 merges equal ones alone.",
        CLUSTERING,
        decides="segments",
    )
    neighbours: float = setting(
        0.3,
        Between(0, 1),
        "Share that neighbours have in the features of a segment, 0 to 1; less in that of a large "
        "one, and of unlike neighbours. 0 describes each by itself.\n\n"
        "Clusters then have less salt and pepper. Attributes of the polygons, such as means of "
        "the bands, are always of the segment alone.",
        CLUSTERING,
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
        "masks too, neighbours have no share, and the batches of `--passes` come in the order of "
        "the segments.",
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

    @property
    def merge_limit(self) -> float | None:
        """The strength of merging; None if nothing is merged."""
        return self.merge_strength if self.merge else None

    @property
    def is_raw(self) -> bool:
        """True if features are compared as they are, as ALPS does."""
        return self.compare == "raw"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features one by one, each once: a backbone, then groups in their order."""
        return chosen_features(self.features)

    @property
    def backbone(self) -> str | None:
        """The name that timm has for the backbone among the features, if one is."""
        return next((name for _, name in map(split_feature, self.feature_names) if name), None)
