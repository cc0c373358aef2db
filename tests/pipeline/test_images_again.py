"""Runs over folders of images that go on, are repeated, or meet what lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from image_folders import files, label, make_root, masks, naip, save
from quarter_tiles import QuarterTiles

from alps_geo.errors import RunError, SceneError, SettingsError
from alps_geo.review.relabel import merge_clusters, name_clusters, split_cluster
from alps_geo.runs.flags import RunFlags
from alps_geo.runs.status import run_status

if TYPE_CHECKING:
    from pathlib import Path

    from alps_geo.events import Event


def test_a_finished_run_is_left_as_it_is(image_run: Path) -> None:
    before = files(image_run)
    label(image_run, generator=QuarterTiles())
    assert files(image_run) == before


@pytest.mark.parametrize("more", [{}, {"fit_on": ("val",)}, {"clusters_from": "model"}])
def test_results_take_the_clusters_that_a_run_has_found(
    more: dict[str, Any], image_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No split is given its clusters twice, and in several processes they are the same."""
    if "clusters_from" in more:
        more = {"clusters_from": str(image_run / "clusters.npz"), "clusters": None}
    root = make_root(tmp_path / "root")
    label(root, tmp_path / "before", **more)

    def refuse(*_: object) -> None:
        pytest.fail("the model is applied again")

    monkeypatch.setattr("alps_geo.outputs.output.assign", refuse)
    monkeypatch.setattr("alps_geo.features.columns.BATCH_ROWS", 5)
    label(root, tmp_path / "out", workers=2, **more)
    assert masks(tmp_path / "out")
    for name, mask in masks(tmp_path / "before").items():
        np.testing.assert_array_equal(masks(tmp_path / "out")[name], mask)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")

    class Stop(BaseException):
        pass

    def stop(event: Event) -> None:
        if event.computed == 3:
            raise Stop

    with pytest.raises(Stop):
        label(root, listen=stop)
    status = run_status(root)
    assert (status.state, status.images) == ("stopped", True)
    assert sum(split.done for split in status.scenes) in (3, 4)
    assert not masks(root)

    worked_on = 0

    def count(event: Event) -> None:
        nonlocal worked_on
        worked_on = event.computed

    label(root, listen=count)
    assert worked_on <= 3
    whole = make_root(tmp_path / "whole")
    label(whole)
    assert {k: v for k, v in files(root).items() if k.startswith("instance")} == {
        k: v for k, v in files(whole).items() if k.startswith("instance")
    }


def test_images_that_cannot_be_read_are_listed_and_cost_the_others_nothing(
    tmp_path: Path,
) -> None:
    root = make_root(tmp_path / "root", train=3, val=1)
    train = root / "img_dir" / "train"
    whole = (train / "chip.0.png").read_bytes()
    (train / "cut.png").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    (train / "flipped.png").write_bytes(flipped)
    (train / "empty.png").write_bytes(b"")
    (train / "text.png").write_text("no image")
    (train / "link.png").symlink_to(train / "nowhere.png")
    record = label(root)
    status = run_status(root)
    assert [(split.tiles, split.done, len(split.failed)) for split in status.scenes] == [
        (8, 3, 5),
        (1, 1, 0),
    ]
    assert sorted(str(each).split(":")[0] for each in record.failed) == [
        "train/cut",
        "train/empty",
        "train/flipped",
        "train/link",
        "train/text",
    ]
    assert len(masks(root)) == 4
    (train / "cut.png").write_bytes(whole)
    mended = label(root, flags=RunFlags(overwrite=True))
    assert len(mended.failed) == 4
    assert len(masks(root)) == 5


def test_images_that_are_done_are_kept_for_other_clusters(image_run: Path) -> None:
    """Their columns are in the tables of the splits alone."""
    stored = sorted(path.name for path in (image_run / ".tiles").rglob("*") if path.is_file())
    assert len([name for name in stored if name.endswith(".image.npz")]) == 6
    assert not [name for name in stored if name.endswith(".columns.npz")]
    save(image_run / "img_dir/train/more.png", naip(700, 0))
    save(image_run / "img_dir/train/chip.2.png", naip(0, 256))  # as it was, at another time

    class Counting(QuarterTiles):
        seen: ClassVar[list[str]] = []

        def encode(self, images: Any) -> Any:
            self.seen.extend(image.scene.rsplit("/", 1)[-1] for image in images)
            return super().encode(images)

    # The scale of the bands is that of all images: it is another with one more.
    label(image_run, flags=RunFlags(overwrite=True), generator=Counting())
    assert len(Counting.seen) == 7
    Counting.seen.clear()
    label(image_run, clusters=2, flags=RunFlags(overwrite=True), generator=Counting())
    assert not Counting.seen
    assert {*np.unique(list(masks(image_run).values()))} == {1, 2}
    other = make_root(image_run.parent / "other")
    save(other / "img_dir/train/more.png", naip(700, 0))
    label(other, clusters=2)
    for name, mask in masks(other).items():
        assert (masks(image_run)[name] == mask).all()


def test_a_stored_image_that_is_damaged_is_made_again(image_run: Path) -> None:
    before = masks(image_run)
    stored = next((image_run / ".tiles").glob("train.*/chip.1.image.npz"))
    stored.write_bytes(stored.read_bytes()[:-40])
    label(image_run, clusters=2, flags=RunFlags(overwrite=True))
    assert masks(image_run).keys() == before.keys()
    stored.write_bytes(b"")
    whole = files(image_run)
    with pytest.raises(RunError, match="absent or damaged"):
        merge_clusters(image_run, [1, 2])
    assert files(image_run) == whole


def test_a_strict_run_stops_at_the_first_image(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    (root / "img_dir/train/empty.png").write_bytes(b"")
    with pytest.raises(SceneError, match=r"empty\.png is empty"):
        label(root, flags=RunFlags(strict=True))
    assert not masks(root)


def test_an_image_that_has_changed_is_named(image_run: Path) -> None:
    before = masks(image_run)
    save(image_run / "img_dir/train/chip.1.png", naip(600, 600))
    with pytest.raises(RunError, match=r"train/chip\.1 has changed since"):
        label(image_run)
    assert all((masks(image_run)[name] == mask).all() for name, mask in before.items())
    label(image_run, flags=RunFlags(overwrite=True))


def test_masks_of_an_image_that_is_gone_go(image_run: Path) -> None:
    (image_run / "img_dir/train/chip.3.png").unlink()
    with pytest.raises(RunError, match=r"train/chip\.3 has gone since"):
        label(image_run)
    label(image_run, flags=RunFlags(overwrite=True))
    assert "train/chip.3_instance_color.png" not in masks(image_run)
    assert len(masks(image_run)) == 5


def test_a_mask_of_somebody_else_stops_the_run(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", train=2, val=1)
    stale = save(root / "instance_mask/train/old_instance_color.png", naip(0, 0))
    before = files(root)
    with pytest.raises(RunError, match=r"old_instance_color\.png is of no image of this run"):
        label(root)
    assert files(root) == before
    label(root, flags=RunFlags(overwrite=True))
    assert stale.exists()


def test_clusters_of_images_are_named_merged_and_split(image_run: Path) -> None:
    before = masks(image_run)
    record = name_clusters(image_run, {1: "forest"})
    assert record.clusters[0].name == "forest"
    assert all((masks(image_run)[name] == mask).all() for name, mask in before.items())
    merge_clusters(image_run, [2, 3])
    for name, mask in masks(image_run).items():
        assert (mask == np.where(before[name] == 3, 2, before[name])).all()
    record = split_cluster(image_run, 2, 2)
    assert [cluster.cluster for cluster in record.clusters] == [1, 2, 3]
    after = masks(image_run)
    assert all(((after[name] == 1) == (before[name] == 1)).all() for name in before)
    assert any((mask == 3).any() for mask in after.values())


def test_clusters_that_were_named_are_kept_by_applying_them(image_run: Path) -> None:
    name_clusters(image_run, {1: "forest"})
    more = save(image_run / "img_dir/val/new.png", naip(300, 300))
    with pytest.raises(RunError, match=r"val/new has come since"):
        label(image_run)
    more.rename(image_run / "new.png")
    with pytest.raises(RunError, match="--clusters-from"):
        label(image_run, clusters=2)
    (image_run / "new.png").rename(more)
    model = str(image_run / "clusters.npz")
    record = label(image_run, clusters=None, clusters_from=model, flags=RunFlags(overwrite=True))
    with pytest.raises(SettingsError, match="clusters is 4, and clusters_from has 3"):
        label(image_run, clusters=4, clusters_from=model, flags=RunFlags(overwrite=True))
    assert record.clusters[0].name == "forest"
    assert f"val/{more.stem}_instance_color.png" in masks(image_run)


def test_a_folder_that_was_moved_goes_on_with_its_own_images(
    image_run: Path, tmp_path: Path
) -> None:
    label(image_run, vis=True, flags=RunFlags(overwrite=True))
    moved = image_run.rename(tmp_path / "moved")
    name_clusters(moved, {1: "forest"})  # draws the pictures again

    class Never(QuarterTiles):
        def encode(self, images: Any) -> Any:
            raise AssertionError("an image is worked on again")

    record = label(moved, vis=True, clusters=2, flags=RunFlags(overwrite=True), generator=Never())
    assert record.folder is not None
    assert record.folder.root == str(moved)
    assert len(masks(moved)) == 6
