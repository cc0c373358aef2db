import pytest

from alps_geo.errors import SettingsError
from alps_geo.features.registry import group_names
from alps_geo.settings import LabelSettings, current_words
from alps_geo.settings.keywords import settings_from


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "vit_x"}, "model is 'vit_x', expected one of mobile_sam, vit_b, vit_l, vit_h"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"precision": "int4"}, "precision is 'int4', expected one of float32, bf16, fp16"),
        ({"clusters": 0}, "clusters is 0, expected 1 to 65535"),
        ({"tile_size": 10}, "tile_size is 10, expected 64 to 16384"),
        (
            {"tile_size": (512, 1024)},
            "tile_size is 512,1024, expected 64 to 16 384, or up to 3 such",
        ),
        ({"tile_size": (512, 512)}, "tile_size is 512,512, expected 64 to 16 384, or up to 3 such"),
        ({"tile_size": (512, 10)}, "tile_size is 10, expected 64 to 16384"),
        ({"tile_size": (1024, 512, 256, 128)}, "tile_size is 1024,512,256,128, expected 64 to"),
        ({"tile_size": ()}, "tile_size is empty, expected 64 to 16 384"),
        ({"overlap": 600}, "overlap is 600, expected 0 to 512"),
        ({"pred_iou_thresh": 1.5}, "pred_iou_thresh is 1.5, expected 0 to 1"),
        ({"fill": "water"}, "fill is 'water', expected one of none, superpixels"),
        ({"superpixel_size": 3}, "superpixel_size is 3, expected 4 to 64"),
        ({"superpixel_size": 65}, "superpixel_size is 65, expected 4 to 64"),
        ({"superpixel_size": 8.5}, "superpixel_size is 8.5, expected a whole number"),
        ({"points": "foo"}, "points is 'foo', expected grid:1 to grid:256, regions:1 to regions:"),
        ({"points": "grid:0"}, "points is 'grid:0', expected grid:1 to grid:256, "),
        ({"points": "regions:0"}, "points is 'regions:0', expected grid:1 to grid:256, "),
        ({"points": "regions:65537"}, "points is 'regions:65537', expected grid:1 to grid:256, "),
        ({"points": 32}, "points is 32, expected text"),
        ({"points": "none", "fill": "none"}, "so nothing would become a segment"),
        ({"compare": "all"}, "compare is 'all', expected one of weighted, raw"),
        ({"features": "sam+colour"}, "features is 'colour', expected one of sam, spectral, "),
        ({"features": ""}, "features is '', expected one of sam, spectral, "),
        ({"bands": (1, 2)}, "bands is 1,2, expected one or three band numbers from 1"),
        ({"bands": (0, 1, 2)}, "bands is 0,1,2"),
        ({"merge": 1}, "merge is 1, expected True or False"),
        ({"merge_strength": -0.1}, "merge_strength is -0.1, expected 0 to 1000"),
        ({"merge_strength": float("nan")}, "merge_strength is nan, expected 0 to 1000"),
        ({"neighbours": 1.5}, "neighbours is 1.5, expected 0 to 1"),
        ({"stretch": (98.0, 2.0)}, "stretch is 98,2, expected two percentiles"),
    ],
)
def test_values_out_of_range_are_named(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("(", r"\(")):
        LabelSettings(**wrong)  # type: ignore[arg-type]


def test_the_overlap_follows_the_tile_size() -> None:
    assert LabelSettings(tile_size=512).tile_overlap == 64
    assert LabelSettings(tile_size=512, overlap=0).tile_overlap == 0
    assert LabelSettings(tile_size=(512, 128)).tile_overlap == 64


def test_features_are_a_set() -> None:
    assert LabelSettings(features="texture + sam+texture").feature_names == ("sam", "texture")


def test_every_feature_group_can_be_chosen() -> None:
    features = [f"{name}:x" if name == "timm" else name for name in group_names()]
    chosen = LabelSettings(features="+".join(features)).feature_names
    assert set(chosen) == set(features)


def test_the_docstring_lists_every_setting() -> None:
    documentation = LabelSettings.__doc__ or ""
    first, _, rest = documentation.partition("\n\n")
    assert first == "Settings of `alps_geo.pipeline.scenes.label_scenes`."
    assert rest.startswith("Attributes\n")
    assert all(f"\n{name} : " in documentation for name in LabelSettings().to_dict())


def test_words_of_earlier_versions_are_replaced() -> None:
    notes: list[str] = []
    found = current_words({"compare": "weighed", "model": "vit_b", "clusters": None}, notes.append)
    assert found == {"compare": "weighted", "model": "vit_b", "clusters": None}
    assert notes == ["compare weighed is called weighted now"]
    with pytest.raises(SettingsError, match="compare is 'weighed', expected one of weighted, raw"):
        LabelSettings(compare="weighed")


def test_points_per_side_is_another_name_of_points() -> None:
    notes: list[str] = []
    assert current_words({"points_per_side": 16}, notes.append) == {"points": "grid:16"}
    assert notes == ["points_per_side 16 is called points grid:16 now"]
    assert current_words({"points": "regions:9"}, notes.append) == {"points": "regions:9"}
    assert len(notes) == 1
    with pytest.raises(SettingsError, match="points and points_per_side are one setting"):
        current_words({"points": "grid:3", "points_per_side": 3})
    assert settings_from({"points_per_side": 3}, {}) == LabelSettings(points="grid:3")
    with pytest.raises(SettingsError, match="points is 'grid:0'"):
        settings_from({"points_per_side": 0}, {})
