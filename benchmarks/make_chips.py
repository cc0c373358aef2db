"""A folder of small images with their truth, in the layout of ALPS, cut from scenes.

    python benchmarks/make_chips.py --out chips
    python benchmarks/make_chips.py --out chips --pair dubai_tile2.tif dubai_tile2_landcover.tif

Chips are whole squares of a scene, as SAM sees its pixels, in
``chips/img_dir/{train,val,test}/<scene>_<row>_<col>.png``; their classes lie in
``chips/truth/{train,val,test}`` under the same names. Splits are made of blocks of neighbouring
chips, so that most neighbours of a chip are in its own split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import Window
from reporting import make_parser, write_report

from alps_geo.errors import SceneError
from alps_geo.scene import open_scene, read_tile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from alps_geo.scene import Scene

DATA = Path(__file__).parent.parent / "tests" / "data"
DEFAULT_PAIR = (str(DATA / "naip_md_1m.tif"), str(DATA / "naip_md_1m_landcover.tif"))
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Cut:
    """Sizes of chips and blocks, and shares of the splits.

    Attributes
    ----------
    size : int
        Side of a chip, in pixels.
    block : int
        Side of a block, in chips.
    shares : tuple of float
        Share of the blocks for each of `SPLITS`.
    seed : int
        Decides which blocks go to which split.
    """

    size: int = 256
    block: int = 2
    shares: tuple[float, ...] = (0.5, 0.25, 0.25)
    seed: int = 0


def main() -> None:
    options = _options()
    cut = Cut(options.size, options.block, tuple(options.shares), options.seed)
    counts = dict.fromkeys(SPLITS, 0)
    for scene, truth in options.pair or [DEFAULT_PAIR]:
        for split, count in make_chips(scene, truth, options.out, cut).items():
            counts[split] += count
    print(f"{options.out}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))
    write_report(counts, options.json)


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--pair",
        nargs=2,
        action="append",
        metavar=("SCENE", "TRUTH"),
        help="a scene and its truth on the same grid; may be given again",
    )
    parser.add_argument("--size", type=int, default=Cut.size, help="side of a chip, in pixels")
    parser.add_argument("--block", type=int, default=Cut.block, help="side of a block, in chips")
    parser.add_argument("--shares", type=float, nargs=3, default=Cut.shares, metavar="SHARE")
    parser.add_argument("--seed", type=int, default=Cut.seed)
    return parser.parse_args()


def make_chips(scene_path: str, truth_path: str, out: Path, cut: Cut) -> dict[str, int]:
    """Cut a scene and its truth into chips; return their number in each split.

    Raises
    ------
    SceneError
        If the truth has another grid, or the scene is smaller than a chip.
    """
    scene = open_scene(scene_path)
    counts = dict.fromkeys(SPLITS, 0)
    with rasterio.open(truth_path) as truth:
        if truth.shape != scene.shape or not truth.transform.almost_equals(scene.transform):
            raise SceneError(f"{truth_path} lies on another grid than {scene_path}")
        for split, name, window in _chips(scene, cut):
            counts[split] += 1
            _write(out / "img_dir" / split / f"{name}.png", read_tile(scene, window).image)
            _write(out / "truth" / split / f"{name}.png", truth.read(1, window=window))
    return counts


def _chips(scene: Scene, cut: Cut) -> Iterator[tuple[str, str, Window]]:
    """Yield split, name and window of each chip."""
    rows, cols = scene.height // cut.size, scene.width // cut.size
    if not rows or not cols:
        raise SceneError(f"{scene.path} is smaller than a chip of {cut.size} px")
    split_of = _splits(-(-rows // cut.block), -(-cols // cut.block), cut)
    for row in range(rows):
        for col in range(cols):
            window = Window(col * cut.size, row * cut.size, cut.size, cut.size)
            block = split_of[row // cut.block, col // cut.block]
            yield SPLITS[block], f"{scene.name}_{row}_{col}", window


def _splits(rows: int, cols: int, cut: Cut) -> NDArray[Any]:
    """Draw the split of each block, shape (rows, cols)."""
    count = rows * cols
    ends = np.round(np.cumsum(cut.shares) / sum(cut.shares) * count).astype(int)
    split = np.searchsorted(ends, np.arange(count), side="right")
    return np.random.default_rng(cut.seed).permutation(split).reshape(rows, cols)


def _write(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main()
