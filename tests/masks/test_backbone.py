"""Features of backbones of timm; with random weights, for none can be downloaded here."""

import json
import os
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from helpers import DATA, alps_geo
from safetensors.torch import load_file, save_file

from alps_geo.errors import ModelError
from alps_geo.masks.backbone import TimmBackbone
from alps_geo.segments.table import open_table

pytestmark = pytest.mark.usefixtures("images_encoded_once")

VIT = "vit_tiny_patch16_224"
SCENE = DATA / "landsat5_int16_1band.tif"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "vit.safetensors"
    torch.manual_seed(0)
    backbone = timm.create_model(VIT, pretrained=False)
    save_file({k: v.contiguous() for k, v in backbone.state_dict().items()}, path)
    return path


def test_a_backbone_describes_images_of_any_shape_by_its_weights(weights: Path) -> None:
    model = TimmBackbone(VIT, str(weights), "cpu").load()
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    features = model.encode(image)
    assert features.shape == (192, 32, 64)
    assert features.dtype == np.float32
    again = TimmBackbone(VIT, str(weights), "cpu").load()
    np.testing.assert_array_equal(features, again.encode(image))
    # The file's weights and no others: what its first layer makes of a patch is what timm says.
    expected = timm.create_model(VIT, pretrained=False, features_only=True, dynamic_img_size=True)
    found = dict(model.network.named_parameters())
    assert found.keys() == dict(expected.named_parameters()).keys()
    stored = timm.create_model(VIT, pretrained=False, checkpoint_path=str(weights)).state_dict()
    name = next(name for name in found if name.endswith("patch_embed.proj.weight"))
    torch.testing.assert_close(found[name], stored["patch_embed.proj.weight"])


def test_segments_are_clustered_by_the_backbones_features(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--features", f"timm:{VIT}+spectral", "--timm-checkpoint", weights)
    quick = ("--clusters", "4", "--points", "grid:2", "--tile-size", "512")
    outcome = alps_geo("label", SCENE, "--out", out, *arguments, *quick)
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads((out / "run.json").read_text())["labelled_share"] == 1
    table = open_table(out / ".tiles" / f"{SCENE.stem}.segments")
    assert sum(name.startswith("timm.") for name in table.names) == 192
    values = table.read(0, len(table)).values
    assert np.isfinite(values).all()
    assert (values.std(axis=0) > 0).all()


def test_weights_are_known_by_their_bytes(weights: Path, tmp_path: Path) -> None:
    """Neither their name nor their time redoes a tile; other bytes do."""
    out, moved = tmp_path / "out", tmp_path / "moved.safetensors"
    quick = ("--clusters", "4", "--points", "grid:2", "--tile-size", "512", "--quiet")
    run = ("label", SCENE, "--out", out, "--features", f"timm:{VIT}+spectral", *quick)
    given = Path(shutil.copy2(weights, tmp_path / "vit.safetensors"))
    assert alps_geo(*run, "--timm-checkpoint", given).exit_code == 0
    stored = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    os.utime(given, (1, 1))
    assert alps_geo(*run, "--timm-checkpoint", given).exit_code == 0
    given.rename(moved)
    assert alps_geo(*run, "--timm-checkpoint", moved).exit_code == 0
    assert stored == {path: path.stat().st_mtime_ns for path in stored}
    # A model that was fitted to them goes with them alone, whatever they are called.
    model = shutil.copy(out / "clusters.npz", tmp_path / "model.npz")
    apply = ("apply", SCENE, "--clusters-from", model, "--out", out, "--overwrite")
    applied = alps_geo(*apply, "--timm-checkpoint", moved, "--quiet")
    assert applied.exit_code == 0
    assert applied.stderr == ""
    state = load_file(moved)
    state["patch_embed.proj.bias"] += 1
    save_file(state, moved)
    refused = alps_geo(*apply, "--timm-checkpoint", moved)
    assert refused.exit_code == 1
    assert "uses other weights of it" in refused.stderr
    tiles = sorted(out.glob(".tiles/*/*_*.npz"))
    assert tiles
    assert alps_geo(*run, "--timm-checkpoint", moved, "--overwrite").exit_code == 0
    assert not any(tile.exists() for tile in tiles)


def test_weights_that_timm_keeps_are_known_by_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "test_resnet.r160_in1k"
    repository = tmp_path / f"models--timm--{name}"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    backbone = TimmBackbone(name)
    with pytest.raises(ModelError, match="cannot be downloaded"):
        backbone.sha256()

    def keep(seed: int) -> None:
        torch.manual_seed(seed)
        state = timm.create_model(name, pretrained=False).state_dict()
        snapshot = repository / "snapshots" / str(seed)
        snapshot.mkdir(parents=True)
        save_file({k: v.contiguous() for k, v in state.items()}, snapshot / "model.safetensors")
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(str(seed))

    keep(1)
    first = backbone.sha256()
    assert first == backbone.sha256()
    keep(2)
    assert backbone.sha256() != first


def test_what_timm_does_not_have_is_refused(weights: Path) -> None:
    with pytest.raises(ModelError, match="timm has no backbone 'resnet0'"):
        TimmBackbone("resnet0", str(weights), "cpu").load()
    with pytest.raises(ModelError, match=r"timm:resnet18: .*cannot be read from"):
        TimmBackbone("resnet18", str(weights), "cpu").load()
    with pytest.raises(ModelError, match="images of any size"):
        TimmBackbone("swin_tiny_patch4_window7_224", str(weights), "cpu").load()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("timm:", "expected one backbone after timm:"),
        ("timm:resnet18+timm:resnet34", "expected one backbone after timm:"),
        ("sam+tim:resnet18", "expected one of sam"),
    ],
)
def test_features_that_name_no_backbone_are_wrong_usage(
    features: str, message: str, tmp_path: Path
) -> None:
    outcome = alps_geo("label", SCENE, "--out", tmp_path / "out", "--features", features)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
