"""Sets read by the training programs themselves, where somebody has installed them.

Neither is a development dependency: Ultralytics brings another OpenCV, and MMSegmentation needs
MMCV built from source. Both run with ``pip install --no-deps`` next to the other packages.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from training_sources import IMAGES, classes, write_set

pytestmark = pytest.mark.filterwarnings("default")


def test_ultralytics_reads_every_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    data = pytest.importorskip("ultralytics.data", exc_type=ImportError)
    out = tmp_path / "set"
    write_set(out, "yolo-seg", IMAGES)
    for split in out.glob("images/*"):
        read = data.YOLODataset(
            img_path=str(split),
            data={"names": dict(enumerate(classes().names)), "channels": 3},
            task="segment",
            imgsz=64,
            augment=False,
        )
        lines = [
            line
            for path in (out / "labels" / split.name).glob("*.txt")
            for line in path.read_text().splitlines()
        ]
        # It drops a second object of the same class and box.
        assert 0 < sum(len(each["cls"]) for each in read.labels) <= len(lines)
        assert len(read) == len(list(split.iterdir()))


def test_mmsegmentation_pairs_images_and_masks(tmp_path: Path) -> None:
    datasets = pytest.importorskip("mmseg.datasets.basesegdataset", exc_type=ImportError)
    out = tmp_path / "set"
    write_set(out, "mmseg", IMAGES)
    info = json.loads((out / "metainfo.json").read_text())
    for split in out.glob("img_dir/*"):
        read = datasets.BaseSegDataset(
            data_root=str(out),
            data_prefix={
                "img_path": f"img_dir/{split.name}",
                "seg_map_path": f"ann_dir/{split.name}",
            },
            img_suffix=info["img_suffix"],
            seg_map_suffix=info["seg_map_suffix"],
            metainfo={"classes": info["classes"], "palette": info["palette"]},
            reduce_zero_label=info["reduce_zero_label"],
            pipeline=[],
        )
        assert len(read) == len(list(split.iterdir()))
        pairs = [read.get_data_info(index) for index in range(len(read))]
        assert all(Path(pair["seg_map_path"]).exists() for pair in pairs)
