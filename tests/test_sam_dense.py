"""Features of backbones of timm; with random weights, for none can be downloaded here."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from helpers import DATA, alps_geo
from safetensors.torch import save_file

from alps_geo import sam
from alps_geo.errors import ModelError
from alps_geo.tables import open_table

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
    model = sam.load_dense(VIT, weights, "cpu")
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    features = model.encode(image)
    assert features.shape == (192, 32, 64)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, sam.load_dense(VIT, weights, "cpu").encode(image))
    # The file's weights and no others: what its first layer makes of a patch is what timm says.
    expected = timm.create_model(VIT, pretrained=False, features_only=True, dynamic_img_size=True)
    found = dict(model.backbone.named_parameters())
    assert found.keys() == dict(expected.named_parameters()).keys()
    stored = timm.create_model(VIT, pretrained=False, checkpoint_path=str(weights)).state_dict()
    name = next(name for name in found if name.endswith("patch_embed.proj.weight"))
    torch.testing.assert_close(found[name], stored["patch_embed.proj.weight"])


def test_segments_are_clustered_by_the_backbones_features(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--features", f"timm:{VIT}+spectral", "--timm-checkpoint", weights)
    quick = ("--clusters", "4", "--points-per-side", "2", "--tile-size", "512")
    outcome = alps_geo("label", SCENE, "--out", out, *arguments, *quick)
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads((out / "run.json").read_text())["labelled_share"] == 1
    table = open_table(out / ".tiles" / f"{SCENE.stem}.segments")
    assert sum(name.startswith("timm.") for name in table.names) == 192
    values = table.read(0, len(table)).values
    assert np.isfinite(values).all()
    assert (values.std(axis=0) > 0).all()


def test_what_timm_does_not_have_is_refused(weights: Path) -> None:
    with pytest.raises(ModelError, match="timm has no backbone 'resnet0'"):
        sam.load_dense("resnet0", weights, "cpu")
    with pytest.raises(ModelError, match=r"timm:resnet18: .*cannot be read from"):
        sam.load_dense("resnet18", weights, "cpu")
    with pytest.raises(ModelError, match="images of any size"):
        sam.load_dense("swin_tiny_patch4_window7_224", weights, "cpu")


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
