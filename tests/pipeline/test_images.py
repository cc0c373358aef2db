"""Runs over folders of images."""

from __future__ import annotations

from shutil import copytree
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from image_folders import SIDE, files, label, make_root, masks, naip, read, save
from PIL import Image
from quarter_tiles import QuarterTiles

import alps_geo
from alps_geo.errors import RunError
from alps_geo.masks.tile_masks import TileMasks
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.folder import RunFolder
from alps_geo.runs.reading import read_record
from alps_geo.segments.images import open_image_table

if TYPE_CHECKING:
    from pathlib import Path


def test_each_image_gets_a_mask_of_its_size_with_ids_from_1(labelled_images: Path) -> None:
    found = masks(labelled_images)
    assert list(found) == [
        *(f"train/chip.{index}_instance_color.png" for index in range(4)),
        *(f"val/chip.{index}_instance_color.png" for index in range(2)),
    ]
    for mask in found.values():
        assert mask.shape == (SIDE, SIDE)
        assert mask.dtype == np.uint8
        # Each quarter is one segment, and so of one cluster.
        half = SIDE // 2
        assert all(
            len(np.unique(part)) == 1
            for rows in (mask[:half], mask[half:])
            for part in (rows[:, :half], rows[:, half:])
        )
    assert {*np.unique(list(found.values()))} == {1, 2, 3}


def test_the_record_counts_images_and_segments(labelled_images: Path) -> None:
    record = read_record(RunFolder(labelled_images))
    assert [(split.name, split.images, split.segments) for split in record.scenes] == [
        ("train", 4, 16),
        ("val", 2, 8),
    ]
    assert record.area_unit == "px"
    assert sum(cluster.area for cluster in record.clusters) == 6 * SIDE**2
    assert record.folder is not None
    assert record.folder.root == str(labelled_images)


def test_another_folder_leaves_the_images_alone(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    before = files(root)
    label(root, tmp_path / "out")
    assert files(root) == before
    assert len(masks(tmp_path / "out")) == 3


def test_a_folder_without_splits_is_labelled_again_without_its_results(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / f"{index}.png", naip(0, SIDE * index))
    record = label(tmp_path)
    assert list(masks(tmp_path)) == [f"{index}_instance_color.png" for index in range(3)]
    assert label(tmp_path, flags=RunFlags(force=True)).files == record.files


def test_zero_based_masks_are_one_less_and_255_where_unlabelled(
    labelled_images: Path, tmp_path: Path
) -> None:
    root = make_root(tmp_path / "root")
    save(root / "img_dir/train/black.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    label(root, tmp_path / "one")
    label(root, tmp_path / "zero", zero_based=True)
    one, zero = masks(tmp_path / "one"), masks(tmp_path / "zero")
    black = "train/black_instance_color.png"
    assert not one.pop(black).any()
    assert (zero.pop(black) == 255).all()
    assert all((zero[name] == one[name] - 1).all() for name in one)


def test_more_than_255_clusters_need_16_bits(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=70, val=1)
    label(root, clusters=270)
    found = masks(root)
    assert {mask.dtype for mask in found.values()} == {np.dtype(np.uint16)}
    assert max(mask.max() for mask in found.values()) == 270


def test_masks_of_jpegs_are_pngs_and_pictures_are_jpegs(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1, suffix=".jpg")
    label(root, image_suffix=".jpg", vis=True)
    assert all(name.endswith("_instance_color.png") for name in masks(root))
    with Image.open(root / "vis_mask/train/chip.0_instance_vis.jpg") as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (SIDE, SIDE), "RGB")


def test_masks_of_placed_tiffs_lie_on_their_images(tmp_path: Path) -> None:
    place = tmp_path / "root" / "img_dir" / "train"
    place.mkdir(parents=True)
    with rasterio.open("tests/data/naip_md_1m.tif") as scene:
        window = rasterio.windows.Window(100, 200, SIDE, SIDE)
        profile = {**scene.profile, "height": SIDE, "width": SIDE, "count": 3}
        profile["transform"] = scene.transform @ Affine.translation(100, 200)
        with rasterio.open(place / "a.tif", "w", **profile) as chip:
            chip.write(scene.read([1, 2, 3], window=window))
    label(tmp_path / "root", image_suffix=".tif", clusters=2, vis=True)
    with rasterio.open(tmp_path / "root/vis_mask/train/a_instance_vis.tif") as picture:
        assert (picture.crs, picture.transform) == (profile["crs"], profile["transform"])
        assert picture.count == 3
    with rasterio.open(tmp_path / "root/instance_mask/train/a_instance_color.tif") as mask:
        assert (mask.crs, mask.transform) == (profile["crs"], profile["transform"])
        assert (mask.dtypes, mask.nodata, mask.count) == (("uint8",), 0, 1)


def test_sizes_and_modes_mix(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    train = root / "img_dir" / "train"
    save(train / "grey.png", naip(0, 700).mean(axis=2).astype(np.uint8))
    save(train / "wide.png", naip(64, 700, 40, 90))
    clear = np.dstack([naip(128, 700), np.full((SIDE, SIDE), 255, np.uint8)])
    clear[:20, :, 3] = 0
    save(train / "rgba.png", clear)
    Image.fromarray(naip(192, 700)).quantize(32).save(train / "palette.png")
    record = label(root)
    found = masks(root)
    # All are of one kind: grey and paletted images count as colour.
    assert [split.name for split in record.scenes] == ["train", "val"]
    assert found["train/wide_instance_color.png"].shape == (40, 90)
    transparent = found["train/rgba_instance_color.png"]
    assert not transparent[:20].any()
    assert transparent[20:].all()
    assert found["train/grey_instance_color.png"].all()


def test_images_of_other_units_are_listed_apart(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=3, val=1)
    save(root / "img_dir/train/deep.png", naip(300, 0).astype(np.uint16) * 200)
    notes: list[str] = []
    record = label(root, listen=lambda event: notes.append(event.noted))
    assert [split.name for split in record.scenes] == ["train", "train-uint16", "val"]
    assert any("1 images, such as deep.png, have other bands or units" in note for note in notes)
    assert (root / "overview/train-uint16.png").exists()
    assert masks(root)["train/deep_instance_color.png"].all()


def test_bands_are_stretched_over_the_dataset_and_not_for_each_image(tmp_path: Path) -> None:
    """A dark 16-bit image next to a bright one stays dark."""
    seen: dict[str, float] = {}

    class Watching(QuarterTiles):
        def encode(self, images: Any) -> Any:
            for image in images:
                seen[image.scene.rsplit("/", 1)[-1]] = float(image.pixels.mean())
            return super().encode(images)

    chip = naip(0, 0).astype(np.uint16)
    save(tmp_path / "img_dir/train/dark.png", chip * 2)
    save(tmp_path / "img_dir/train/bright.png", chip * 200)
    label(tmp_path, generator=Watching(), clusters=2)
    assert seen["dark.png"] < 20 < 100 < seen["bright.png"]


def test_a_split_that_is_not_fitted_on_changes_no_cluster_of_the_others(tmp_path: Path) -> None:
    alone = make_root(tmp_path / "alone", train=4, val=1)
    both = copytree(alone, tmp_path / "both")
    label(alone, splits=("train",))
    label(both, fit_on=("train",))
    # The scale of the bands is that of all images, so the centres differ by that alone.
    assert (alone / "clusters.npz").exists()
    fitted_on_both = copytree(both, tmp_path / "third")
    label(fitted_on_both, flags=RunFlags(overwrite=True), fit_on=("val",), clusters=2)
    assert masks(both).keys() == masks(fitted_on_both).keys()
    assert (both / "clusters.npz").read_bytes() != (fitted_on_both / "clusters.npz").read_bytes()


def test_results_do_not_depend_on_the_order_of_the_file_system(
    image_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for path in sorted((image_run / "img_dir").rglob("*.png"), reverse=True):
        target = other / path.relative_to(image_run)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    label(other)
    assert masks(other).keys() == masks(image_run).keys()
    for name, mask in masks(other).items():
        assert (mask == masks(image_run)[name]).all()


@pytest.mark.parametrize("workers", [2])
def test_workers_give_the_same_masks(image_run: Path, tmp_path: Path, workers: int) -> None:
    label(image_run, tmp_path / "out", workers=workers)
    expected, found = masks(image_run), masks(tmp_path / "out")
    assert all((found[name] == expected[name]).all() for name in expected)


def test_images_that_are_encoded_together_get_the_same_masks(
    image_run: Path, tmp_path: Path
) -> None:
    together: list[int] = []

    class Batches(QuarterTiles):
        def encode(self, images: Any) -> Any:
            together.append(len(images))
            return super().encode(images)

    save(image_run / "img_dir/val/black.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    label(image_run, tmp_path / "one")
    label(image_run, tmp_path / "three", generator=Batches(images_at_once=3))
    assert max(together) == 3
    expected, found = masks(tmp_path / "one"), masks(tmp_path / "three")
    assert all((found[name] == expected[name]).all() for name in expected)


def test_large_images_are_cut_in_tiles_and_stitched(tmp_path: Path) -> None:
    save(tmp_path / "img_dir/train/large.png", naip(0, 0, 300, 200))
    label(tmp_path, tile_size=128, fill="superpixels")
    mask = masks(tmp_path)["train/large_instance_color.png"]
    assert mask.shape == (300, 200)
    assert mask.all()
    table = open_image_table(tmp_path / ".tiles/train.segments")
    assert table.read_ids(0).max() == table.first[-1]


def test_pictures_show_the_image_and_the_clusters(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    record = label(root, vis=True)
    mask = masks(root)["train/chip.0_instance_color.png"]
    picture = read(root / "vis_mask/train/chip.0_instance_vis.png").astype(float)
    image = naip(0, 0).astype(float)
    inside = (slice(8, 20), slice(8, 20))
    color = record.clusters[int(mask[inside][0, 0]) - 1].color
    expected = 0.45 * image[inside] + 0.55 * np.array(
        [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    )
    assert np.abs(picture[inside] - expected).max() <= 1
    assert read(root / "overview/train.png").shape[1] > 2 * SIDE


def test_an_image_without_a_mask_of_sam_has_an_empty_one(tmp_path: Path) -> None:
    """The published recipe leaves out what no mask covers; here the image keeps its place."""

    class Nothing(QuarterTiles):
        def masks(self, image: Any, encoded: Any, points: Any) -> Any:
            if image.scene.endswith("chip.0.png"):
                return super().masks(image, encoded, points)
            return TileMasks.of(image.valid.shape, [], [], [], [])

    root = make_root(tmp_path / "root", train=2, val=1)
    label(root, clusters=2, generator=Nothing())
    found = masks(root)
    assert found["train/chip.0_instance_color.png"].all()
    assert not found["train/chip.1_instance_color.png"].any()


def test_python_labels_a_folder_and_opens_the_run(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    run = alps_geo.label_images(
        root, tmp_path / "out", splits=["train"], clusters=2, generator=QuarterTiles()
    )
    assert run.scenes == ("train",)
    assert run.clusters["segments"].sum() == run.record.segments
    assert list(masks(tmp_path / "out")) == [
        "train/chip.0_instance_color.png",
        "train/chip.1_instance_color.png",
    ]
    with pytest.raises(RunError, match="its masks lie in"):
        run.labels()
    with pytest.raises(TypeError, match="no setting 'spilts' here"):
        alps_geo.label_images(root, spilts=["train"])
