"""The masks are segment_anything's, whatever the scene, the settings and the hardware."""

from __future__ import annotations

from dataclasses import fields, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from dense_masks import unpacked
from helpers import DATA
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from remembering import remembering
from sam_reference import load_reference
from sam_scenes import best_iou, masks_of, matched_iou, rgb
from segment_anything import SamAutomaticMaskGenerator
from torchvision.ops import nms

from alps_geo.errors import ModelMemoryError, SettingsError
from alps_geo.sam import generate, memory
from alps_geo.sam.decoder import Decoder
from alps_geo.sam.model import load_model, quick_dtypes
from alps_geo.sam.settings import MaskSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from numpy.typing import NDArray

    from alps_geo.masks.tile_masks import TileMasks
    from alps_geo.sam.model import SamModel

SOME = MaskSettings(points_per_side=5, pred_iou_thresh=0.7, stability_score_thresh=0.8)


@pytest.fixture(scope="module")
def model(mobile_sam: SamModel) -> SamModel:
    return remembering(mobile_sam)


@pytest.fixture(scope="module")
def network() -> Any:
    """Load the shipped weights as segment_anything's own class."""
    return load_reference("mobile_sam")


@pytest.fixture(scope="module")
def small() -> NDArray[np.uint8]:
    return rgb("neon_osbs_10cm.tif", 300, 200)


def same(masks: TileMasks, others: TileMasks) -> bool:
    return all(
        np.array_equal(getattr(masks, name), getattr(others, name))
        for name in ("bbox", "bits", "offsets", "area", "predicted_iou", "stability_score")
    )


def test_settings_are_segment_anythings() -> None:
    theirs = {
        name: parameter.default
        for name, parameter in signature(SamAutomaticMaskGenerator).parameters.items()
        if parameter.default is not parameter.empty
    }
    ours = {field.name: field.default for field in fields(MaskSettings)}
    # Of the others none is a setting here, and how many points go together depends on the device.
    assert ours.keys() <= theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {"points_per_batch"}


def test_the_decoder_answers_as_the_original_does(model: SamModel) -> None:
    reference = np.load(DATA / "mobile_sam_reference.npz")
    with torch.inference_mode():
        keys = model.decoder.prepare(model.encode(rgb("naip_md_1m.tif")))
        prompts = model.decoder.prompt(keys, torch.from_numpy(reference["point_coords"]))
        iou = model.decoder.predicted_iou(keys, prompts).numpy()
        everything = torch.arange(iou.size)
        logits = model.decoder.logits(keys, prompts, everything).numpy()
    expected = reference["low_res_logits_every_2nd_pixel"].astype(np.float32)
    found = logits.reshape(-1, 3, 256, 256)[:, :, ::2, ::2]
    assert np.abs(iou - reference["iou_predictions"]).max() < 1e-3
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("large_batches", [False, True])
def test_the_decoder_is_segment_anythings(
    network: Any, model: SamModel, large_batches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "wants_large_batches", lambda _: large_batches)
    points = torch.tensor([[100.0, 880.0], [512.0, 512.0], [930.0, 60.0]])
    with torch.inference_mode():
        embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1
        sparse, dense = network.prompt_encoder(
            points=(points[:, None], torch.ones(3, 1)), boxes=None, masks=None
        )
        logits, iou = network.mask_decoder(
            embedding, network.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True
        )
        decoder = model.decoder
        keys = decoder.prepare(embedding)
        prompts = decoder.prompt(keys, points)
        which = torch.tensor([0, 2, 4, 6, 7, 8])
        found = decoder.logits(keys, prompts, which)
        torch.testing.assert_close(decoder.predicted_iou(keys, prompts), iou, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found, logits.flatten(0, 1)[which], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("scene", "height", "width", "changes"),
    [
        ("naip_md_1m.tif", None, None, {}),
        ("neon_osbs_10cm.tif", None, 250, {}),
        ("sentinel2_uint16_4band.tif", None, None, {"pred_iou_thresh": 0.0}),
    ],
    ids=["square", "padded and resized", "every predicted IoU"],
)
def test_masks_are_segment_anythings(
    scene: str,
    height: int | None,
    width: int | None,
    changes: dict[str, Any],
    network: Any,
    model: SamModel,
) -> None:
    image = rgb(scene, height, width)
    parameters: dict[str, Any] = {
        "points_per_side": 4,
        "pred_iou_thresh": 0.7,
        "stability_score_thresh": 0.8,
        **changes,
    }
    records = SamAutomaticMaskGenerator(network, **parameters).generate(image)
    masks = masks_of(model, image, MaskSettings(**parameters))
    expected = np.array([record["segmentation"] for record in records])
    assert len(masks) == len(expected) > 1
    assert matched_iou(unpacked(masks), expected).min() >= 0.99
    for name in ("predicted_iou", "stability_score"):
        scores = [record[name] for record in records]
        np.testing.assert_allclose(np.sort(getattr(masks, name)), np.sort(scores), atol=1e-3)


def test_masks_of_given_points_are_segment_anythings(network: Any, model: SamModel) -> None:
    image = rgb("neon_osbs_10cm.tif", None, 250)
    pixels = np.random.default_rng(0).integers(0, image.shape[:2], (15, 2))
    points = pixels.astype(np.float64) + 0.5
    parameters: dict[str, Any] = {
        "points_per_side": None,
        "pred_iou_thresh": 0.6,
        "stability_score_thresh": 0.7,
    }
    # Theirs are (x, y) in shares of width and height.
    grids = [points[:, ::-1] / image.shape[1::-1]]
    reference = SamAutomaticMaskGenerator(network, **parameters, point_grids=grids)
    expected = np.array([record["segmentation"] for record in reference.generate(image)])
    masks = masks_of(model, image, MaskSettings(**parameters), points=points)
    assert len(masks) == len(expected) > 1
    assert matched_iou(unpacked(masks), expected).min() >= 0.99


def test_points_of_a_grid_can_be_given(model: SamModel, small: NDArray[np.uint8]) -> None:
    along = np.linspace(0.1, 0.9, SOME.points_per_side or 0)
    rows, cols = np.meshgrid(along * small.shape[0], along * small.shape[1], indexing="ij")
    points = np.stack([rows.ravel(), cols.ravel()], axis=1).astype(np.float64)
    settings = replace(SOME, points_per_side=None)
    assert same(masks_of(model, small, settings, points=points), masks_of(model, small, SOME))


def test_without_points_the_decoder_does_not_run(
    model: SamModel, small: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Decoder, "prepare")
    assert len(masks_of(model, small, points=np.empty((0, 2)))) == 0


def test_a_grid_or_points_are_needed(model: SamModel, small: NDArray[np.uint8]) -> None:
    with pytest.raises(SettingsError, match="no points are given"):
        masks_of(model, small, replace(SOME, points_per_side=None))


@given(
    arrays(np.int64, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(0, 6)),
    st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]),
    st.randoms(use_true_random=False),
)
def test_duplicates_are_those_of_torchvision(
    corners: NDArray[np.int64], threshold: float, random: Random
) -> None:
    bbox = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:] + 1], axis=1)
    scores = np.array([random.choice([0.1, 0.5, 0.9]) for _ in bbox], dtype=np.float32)
    inclusive = torch.from_numpy(bbox - [0, 0, 1, 1]).float()
    expected = nms(inclusive, torch.from_numpy(scores), threshold).numpy()
    np.testing.assert_array_equal(generate._best_boxes(bbox, scores, threshold), expected)


def test_the_same_input_gives_the_same_masks_in_the_same_order(
    model: SamModel, small: NDArray[np.uint8]
) -> None:
    masks = masks_of(model, small, SOME)
    assert len(masks) > 3
    assert same(masks, masks_of(model, small, SOME))
    assert (np.diff(masks.predicted_iou) <= 0).all()


def test_points_on_nodata_never_reach_the_decoder(
    model: SamModel, small: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[NDArray[np.float32]] = []
    prompt = Decoder.prompt

    def watched(self: Decoder, keys: Any, points: torch.Tensor) -> Any:
        asked.extend(points.numpy())
        return prompt(self, keys, points)

    monkeypatch.setattr(Decoder, "prompt", watched)
    valid = np.zeros(small.shape[:2], dtype=bool)
    assert len(masks_of(model, small, SOME, valid)) == 0
    assert not asked
    valid[:, 100:] = True
    assert len(masks_of(model, small, SOME, valid)) > 0
    assert len(asked) == 15
    assert min(x for x, _ in asked) >= 100 * 1024 / 300


def gpu_without_memory() -> None:
    raise torch.OutOfMemoryError("CUDA ran full.")


@pytest.mark.parametrize(
    "lack_memory",
    [gpu_without_memory, lambda: torch.empty(2**60), lambda: np.empty(2**58)],
    ids=["GPU", "CPU", "numpy"],
)
def test_batches_are_halved_when_memory_runs_out(
    lack_memory: Callable[[], object],
    model: SamModel,
    small: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(SOME, points_per_side=3)
    expected = masks_of(model, small, settings)
    prompt = Decoder.prompt

    def scarce(self: Decoder, keys: Any, points: torch.Tensor) -> Any:
        if len(points) > 1:
            lack_memory()
        return prompt(self, keys, points)

    monkeypatch.setattr(Decoder, "prompt", scarce)
    masks = masks_of(model, small, settings)
    assert len(masks) == len(expected) > 0
    assert best_iou(unpacked(masks), unpacked(expected)).min() > 0.99


def test_memory_too_small_for_one_point_is_an_error(
    model: SamModel, small: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hopeless(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Decoder, "prompt", hopeless)
    with pytest.raises(ModelMemoryError, match="on cpu runs out of memory with a single"):
        masks_of(model, small, SOME)


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    model: SamModel, small: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Decoder, "prompt", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        masks_of(model, small, SOME)


def test_the_number_of_points_at_once_changes_no_mask(
    model: SamModel, small: NDArray[np.uint8]
) -> None:
    few, many = (
        masks_of(model, small, replace(SOME, points_per_side=3, points_per_batch=count))
        for count in (2, 9)
    )
    assert len(few) == len(many) > 0
    assert best_iou(unpacked(few), unpacked(many)).min() > 0.99


def test_a_model_that_memory_does_not_suffice_for_is_an_error_of_that_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("alps_geo.sam.model._load_network", lambda *_: torch.empty(2**60))
    with pytest.raises(ModelMemoryError, match="allocate memory"):
        load_model(device="cpu")


@pytest.mark.skipif("bf16" not in quick_dtypes("cpu"), reason="the processor has no bf16")
def test_half_precision_finds_most_of_the_masks(model: SamModel, small: NDArray[np.uint8]) -> None:
    settings = replace(SOME, points_per_side=3)
    half = load_model(device="cpu", dtype="bf16")
    expected = unpacked(masks_of(model, small, settings))
    found = unpacked(masks_of(half, small, settings))
    assert (best_iou(expected, found) > 0.9).mean() > 0.7


def test_a_tile_of_one_pixel_has_masks_or_none_but_no_error(model: SamModel) -> None:
    masks = masks_of(model, np.zeros((1, 1, 3), dtype=np.uint8), MaskSettings(points_per_side=1))
    assert masks.shape == (1, 1)
    assert unpacked(masks).shape[1:] == (1, 1)


def test_an_image_of_another_kind_is_an_error(model: SamModel) -> None:
    with pytest.raises(SettingsError, match=r"is float64 of shape \(4, 4, 3\), expected uint8"):
        model.encode(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(SettingsError, match=r"valid mask is bool of shape \(3, 4\), expected bool"):
        masks_of(model, image, valid=np.ones((3, 4), dtype=bool))
