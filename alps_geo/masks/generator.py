"""The contract of mask generators: SAM, and its alternatives.

A generator is handed in, so nothing outside of this room knows which one is at work. A new one is
a class in a file of its own; to be chosen by name it is entered in `alps_geo.masks.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

from alps_geo.errors import ModelError
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.windows import Window

    from alps_geo.masks.tile_masks import TileMasks


_ROUNDING = 1e-6
"""A cell that reaches into the tile by no more than this share of it is none."""


@dataclass(frozen=True)
class GeneratorOptions:
    """Options that a generator of the registry is made of.

    Attributes
    ----------
    model : str
        Name of the model, by which the registry finds the generator.
    checkpoint : str or None
        File with the model's weights; None for its own.
    device : str
        One of `alps_geo.sam.settings.DEVICES`.
    precision : str
        One of `alps_geo.sam.settings.PRECISIONS`.
    masks : MaskSettings
        Points and thresholds.
    positional : bool
        True to leave an embedding as the encoder gives it; False to take out the part that
        follows the position in the tile and not the picture.
    """

    model: str = "mobile_sam"
    checkpoint: str | None = None
    device: str = "auto"
    precision: str = "float32"
    masks: MaskSettings = field(default_factory=MaskSettings)
    positional: bool = False


@dataclass(frozen=True, eq=False)
class TileImage:
    """The picture of one tile, and its position.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        Red, green, blue; smooth where there are no data.
    valid : (H, W) bool
        True where there are data.
    window : rasterio.windows.Window
        The tile's window, in scene pixels.
    scene : str
        Path of the scene.
    transform : affine.Affine
        From (col, row) in scene pixels to map coordinates.
    crs : rasterio.crs.CRS or None
        Of the map coordinates.
    """

    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    window: Window
    scene: str
    transform: Affine
    crs: CRS | None


class MaskGenerator(Protocol):
    """A way to find the masks and the embedding of a tile, before its weights are loaded.

    An immutable value that pickles small, since each worker process is handed a copy. A generator
    without weights may implement `MaskModel` as well and return itself from `load`.
    """

    @property
    def name(self) -> str:
        """Name of the model, for the record and messages."""
        ...

    @property
    def channels(self) -> int:
        """Channels C of its embedding."""
        ...

    def cell_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Height and width of one embedding cell, in pixels of a tile of this shape.

        Cell (i, j) covers the rows [i, i + 1) times the height and the columns [j, j + 1) times the
        width; the last row and column may reach beyond the tile.
        """
        ...

    def sha256(self) -> str:
        """Digest, in hexadecimal, of everything that decides masks and embeddings but the settings.

        Such as weights, prompts or stored masks. Tiles of another digest are made again.

        Raises
        ------
        ModelError
            If weights are absent or cannot be read.
        """
        ...

    def load(self) -> MaskModel:
        """Load the model.

        Raises
        ------
        ModelError
            If the model cannot be used, or memory does not suffice for it (`ModelMemoryError`).
        """
        ...


class MaskModel(Protocol):
    """A generator whose model is loaded.

    All methods raise a `MemoryError`, such as `ModelMemoryError`, if memory does not suffice; then
    the tile is tried once more.
    """

    @property
    def images_at_once(self) -> int:
        """Images to give to `encode` at once: one, or more where that is faster."""
        ...

    def encode(self, images: Sequence[TileImage]) -> Sequence[Any]:
        """Encode images together; the results are passed on to the methods below, one by one."""
        ...

    def masks(
        self, image: TileImage, encoded: Any, points: NDArray[np.float64] | None
    ) -> TileMasks:
        """Find the masks of an encoded image.

        Parameters
        ----------
        image : TileImage
            The image.
        encoded : object
            From `encode`.
        points : (P, 2) float64 or None
            (row, col) of the prompts, in pixels of the tile: (0, 0) is its corner, and pixel (i, j)
            reaches from there to (i + 1, j + 1). None for prompts of the generator's own, which is
            `MaskSettings.points_per_side` for one of `GeneratorOptions`. A generator without
            prompts passes them over.
        """
        ...

    def embedding(self, image: TileImage, encoded: Any) -> NDArray[np.float32]:
        """Embedding of an encoded image: (C, h, w) float32, without padding."""
        ...


class Backbone(Protocol):
    """A second encoder, before its weights are loaded; as `MaskGenerator`, it pickles small."""

    @property
    def name(self) -> str:
        """Name of the backbone, for the record and messages."""
        ...

    def sha256(self) -> str:
        """Digest, in hexadecimal, of the weights.

        Raises
        ------
        ModelError
            If they are absent or cannot be read.
        """
        ...

    def load(self) -> LoadedBackbone:
        """Load the weights.

        Raises
        ------
        ModelError
            If the backbone cannot be used, or memory does not suffice for it (`ModelMemoryError`).
        """
        ...


class LoadedBackbone(Protocol):
    """A backbone with its weights."""

    def encode(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode an (H, W, 3) uint8 image to (D, h, w) float32, cells over the whole image."""
        ...


@dataclass(frozen=True)
class Weights:
    """Digests of the weights of a run, by which they are known whatever their files are called.

    Attributes
    ----------
    model : str
        Name of the mask generator's model.
    sam : str
        Of the mask generator.
    backbone : str or None
        Of the backbone; None without one.
    """

    model: str
    sam: str
    backbone: str | None = None

    def to_dict(self) -> dict[str, str]:
        """Return the digests that there are, for JSON."""
        of_backbone = {} if self.backbone is None else {"timm_sha256": self.backbone}
        return {"sam_sha256": self.sam, **of_backbone}


@dataclass(frozen=True)
class Models:
    """Models that work on the tiles of a run, before their weights are loaded.

    Attributes
    ----------
    generator : MaskGenerator
        Of masks and the first embedding.
    backbone : Backbone or None
        Of the second embedding; None without one.
    """

    generator: MaskGenerator
    backbone: Backbone | None = None

    def weights(self) -> Weights:
        """Digest all weights.

        Raises
        ------
        ModelError
            If weights are absent or cannot be read.
        """
        backbone = self.backbone
        return Weights(
            self.generator.name,
            self.generator.sha256(),
            None if backbone is None else backbone.sha256(),
        )


def check_tile(
    generator: MaskGenerator, image: TileImage, masks: TileMasks, embedding: NDArray[np.float32]
) -> None:
    """Check the masks and embedding of a tile against the contract.

    Raises
    ------
    ModelError
        If the masks are of another shape than the tile, or the embedding has not the channels and
        cells that the generator promises.
    """
    shape = image.valid.shape
    if masks.shape != shape:
        raise ModelError(
            f"{generator.name}: masks are of a tile of {masks.shape} pixels, expected {shape}"
        )
    sizes = generator.cell_size((shape[0], shape[1]))
    cells = tuple(
        ceil(pixels / size - _ROUNDING) for pixels, size in zip(shape, sizes, strict=True)
    )
    if embedding.shape != (generator.channels, *cells):
        raise ModelError(
            f"{generator.name}: the embedding is of shape {embedding.shape}, expected "
            f"{(generator.channels, *cells)}, its channels and its cells over the tile"
        )
