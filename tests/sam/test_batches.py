"""Several images at once, as on a GPU, give what they give one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import rasterio
import torch
from helpers import DATA
from sam_scenes import rgb

from alps_geo.errors import ModelMemoryError
from alps_geo.pipeline.scenes import label_scenes
from alps_geo.sam import tiny_vit
from alps_geo.sam.model import SamModel
from alps_geo.settings import LabelSettings

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    return [rgb("neon_osbs_10cm.tif", 200, 300), rgb("naip_md_1m.tif", 128, 128)]


def scarce(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let the encoder run out of memory with more than so many images."""
    forward = tiny_vit.TinyVitEncoder.forward

    def limited(self: Any, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return forward(self, pixels)

    monkeypatch.setattr(tiny_vit.TinyVitEncoder, "forward", limited)


@pytest.mark.parametrize("most", [1, 2])
def test_images_are_encoded_as_one_by_one(
    most: int,
    mobile_sam: SamModel,
    images: list[NDArray[np.uint8]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scarce(monkeypatch, most)
    together = mobile_sam.encode_many(images)
    for embedding, image in zip(together, images, strict=True):
        torch.testing.assert_close(embedding, mobile_sam.encode(image), rtol=1e-3, atol=1e-3)


def test_memory_too_small_for_one_image_is_an_error(
    mobile_sam: SamModel, images: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce(monkeypatch, 0)
    with pytest.raises(
        ModelMemoryError, match="mobile_sam on cpu runs out of memory with a single image"
    ):
        mobile_sam.encode_many(images)


@pytest.mark.parametrize("most", [1, 3], ids=["too little memory", "enough memory"])
def test_tiles_encoded_together_give_the_same_map(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = tmp_path / "scene.tif"
    with rasterio.open(DATA / "naip_md_1m.tif") as file:
        window = rasterio.windows.Window(0, 0, 300, 80)
        profile = file.profile | {"width": 300, "height": 80, "nodata": 0}
        bands = file.read(window=window)
    bands[:, :, :80] = 0  # the first tile has no data
    with rasterio.open(scene, "w", **profile) as file:
        file.write(bands)
    settings = LabelSettings(
        device="cpu", tile_size=80, overlap=0, points="grid:2", clusters=3, fill="none"
    )

    notes: list[str] = []

    def labels(folder: str) -> NDArray[np.uint16]:
        label_scenes(
            [str(scene)], tmp_path / folder, settings, listen=lambda event: notes.append(event.note)
        )
        with rasterio.open(tmp_path / folder / "scene" / "labels.tif") as file:
            found: NDArray[np.uint16] = file.read(1)
        return found

    expected = labels("one by one")
    seen: list[int] = []
    encode_many = SamModel.encode_many

    def watched(self: SamModel, group: Any) -> Any:
        seen.append(len(group))
        if len(group) > most:
            raise ModelMemoryError("too many")
        return encode_many(self, group)

    monkeypatch.setattr(SamModel, "images_at_once", 3)
    monkeypatch.setattr(SamModel, "encode_many", watched)
    together = labels("together")
    assert "overlap is 0, so what crosses the borders of tiles is cut there" in notes
    assert max(seen) == 2
    assert expected.any()
    assert (together == expected).mean() > 0.99
