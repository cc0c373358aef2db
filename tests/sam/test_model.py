"""Models load from where they should, and whatever is wrong with one gets a clear error."""

from __future__ import annotations

import copy
import hashlib
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from helpers import DATA
from sam_reference import ReferenceTinyVit, load_reference
from sam_scenes import rgb
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT

from alps_geo.errors import ModelError, ModelMemoryError
from alps_geo.sam import memory, weights
from alps_geo.sam.encoder import fuse_attention
from alps_geo.sam.model import load_model, quick_dtypes
from alps_geo.sam.tiny_vit import TinyVitEncoder, fold_norms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alps_geo.sam.model import SamModel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder in place of the user's cache of models."""
    monkeypatch.setattr(weights, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder on this machine: its address, and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    handler = partial(Handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}/", folder
        http.shutdown()


@pytest.fixture
def offered(
    server: tuple[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, bytes]:
    """Offer a small file as the weights of vit_b: where it is served, and what it holds."""
    address, folder = server
    content = b"weights" * 10_000
    (folder / "vit_b.pth").write_bytes(content)
    spec = replace(
        weights.MODELS["vit_b"],
        url=address + "vit_b.pth",
        filename="vit_b.pth",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    monkeypatch.setitem(weights.MODELS, "vit_b", spec)
    return folder / "vit_b.pth", content


def save(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def test_the_shipped_model_embeds_as_the_original_does(mobile_sam: SamModel) -> None:
    reference = np.load(DATA / "mobile_sam_reference.npz")["embedding_every_8th_channel"]
    embedding = mobile_sam.encode(rgb("naip_md_1m.tif"))[0, ::8].numpy()
    assert np.linalg.norm(embedding - reference) < 2e-3 * np.linalg.norm(reference)


def test_a_model_says_what_it_is(mobile_sam: SamModel) -> None:
    assert (mobile_sam.name, mobile_sam.device, mobile_sam.dtype) == (
        "mobile_sam",
        "cpu",
        "float32",
    )
    assert mobile_sam.sha256 == weights.MODELS["mobile_sam"].sha256


def test_importing_the_registry_and_the_settings_leaves_torch_alone() -> None:
    code = (
        "import sys, alps_geo.masks.registry, alps_geo.sam.settings as settings; "
        "alps_geo.masks.registry.models(); settings.MaskSettings(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_at_work_loads_no_library_that_it_can_do_without() -> None:
    code = (
        "import sys, numpy; from alps_geo.sam.generate import MaskSettings, generate_masks; "
        "from alps_geo.sam.model import load_model; model = load_model(device='cpu'); "
        "embedding = model.encode(numpy.zeros((8, 8, 3), dtype=numpy.uint8)); "
        "generate_masks(model, embedding, (8, 8), MaskSettings(points_per_side=1)); "
        "heavy = 'torchvision', 'timm', 'segment_anything', 'torch._dynamo', 'sympy'; "
        "print(*(name for name in heavy if name in sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    assert printed.stdout.split() == []


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no model 'sam3', expected one of mobile_sam, vit_b"):
        load_model("sam3")


def test_an_unknown_device_or_dtype_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no device 'gpu', expected one of auto, cpu, cuda, mps"):
        load_model(device="gpu")
    with pytest.raises(ModelError, match="no dtype 'int8', expected one of float32, bf16, fp16"):
        load_model(dtype="int8")


@pytest.mark.parametrize(
    ("has_bf16", "dtype", "message"),
    [
        (True, "fp16", r"fp16 .* slower than float32; expected float32 or bf16$"),
        (False, "fp16", r"fp16 .* slower than float32; expected float32$"),
        (False, "bf16", r"bf16 .* on a CPU that only emulates it, .*; expected float32$"),
    ],
)
def test_half_floats_are_refused_where_they_only_cost_time(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, dtype: str, message: str
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_bf16)
    with pytest.raises(ModelError, match=message):
        load_model(device="cpu", dtype=dtype)


def test_a_dtype_that_is_called_quick_is_loaded() -> None:
    for dtype in quick_dtypes("cpu"):
        assert load_model(device="cpu", dtype=dtype).dtype == dtype


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_asking_for_an_absent_gpu_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"device cuda was asked for, but torch .* finds none"):
        load_model(device="cuda")


def test_the_automatic_device_is_one_that_is_there() -> None:
    device = load_model(device="auto").device
    assert load_model(device=device).device == device


def test_an_absent_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.pth: there is no such checkpoint"):
        load_model(checkpoint=tmp_path / "gone.pth")


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pth"])
def test_a_truncated_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    whole = weights.MODELS["mobile_sam"].path
    if name.endswith(".pth"):
        whole = save({"a": torch.zeros(1000)}, tmp_path / "whole.pth")
    (tmp_path / name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ModelError, match=f"{name}: the checkpoint cannot be read"):
        load_model(checkpoint=tmp_path / name)


class Harmful:
    """Trap that unpickling must never call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("the checkpoint was unpickled",)


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    path = save({"a": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(ModelError, match=r"harmful\.pth: the checkpoint cannot be read"):
        load_model(checkpoint=path)


def test_a_checkpoint_without_tensors_by_name_is_refused(tmp_path: Path) -> None:
    path = save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match=r"list\.pth: the checkpoint holds no state dict"):
        load_model(checkpoint=path)


@pytest.mark.parametrize(
    ("key", "width", "looks_like"),
    [
        ("image_encoder.patch_embed.proj.weight", 1280, "vit_h; give --model vit_h with it"),
        ("image_encoder.patch_embed.proj.weight", 384, "a SAM with a ViT 384 channels wide"),
        ("backbone.weight", 8, "no SAM model"),
    ],
)
def test_a_checkpoint_of_another_model_is_told_apart(
    key: str, width: int, looks_like: str, tmp_path: Path
) -> None:
    path = save({key: torch.zeros(width, 3, 2, 2)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=f"expected weights of mobile_sam, .* like {looks_like}"):
        load_model(checkpoint=path)


def test_a_checkpoint_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    state = load_reference("mobile_sam").state_dict()
    del state["mask_decoder.iou_token.weight"]
    path = save(state, tmp_path / "lacking.pth")
    with pytest.raises(ModelError, match=r"lacks 1 tensors .* mask_decoder\.iou_token\.weight"):
        load_model(checkpoint=path)


def test_an_official_checkpoint_loads_from_a_file_and_from_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    network = sam_model_registry["vit_b"]()
    path = save(network.state_dict(), tmp_path / "sam_vit_b.pth")
    model = load_model("vit_b", checkpoint=path, device="cpu")
    assert (model.name, len(model.sha256)) == ("vit_b", 64)
    loaded = model.encoder.state_dict()["blocks.3.mlp.lin1.weight"]
    assert torch.equal(loaded, network.image_encoder.blocks[3].mlp.lin1.weight)

    cache.mkdir()
    in_cache = path.rename(cache / weights.MODELS["vit_b"].filename)
    with pytest.raises(ModelError, match=r"is damaged: alps-geo models --download vit_b"):
        load_model("vit_b", device="cpu")
    known = replace(weights.MODELS["vit_b"], sha256=model.sha256)
    monkeypatch.setitem(weights.MODELS, "vit_b", known)
    assert load_model("vit_b", device="cpu").sha256 == model.sha256
    in_cache.unlink()


def test_a_download_is_checked_and_reports_its_progress(offered: tuple[Path, bytes]) -> None:
    seen: list[tuple[int, int]] = []
    assert weights.MODELS["vit_b"].is_present is False
    path = weights.download(
        weights.MODELS["vit_b"], progress=lambda done, total: seen.append((done, total))
    )
    assert path.read_bytes() == offered[1]
    assert [spec.name for spec in weights.MODELS.values() if spec.is_present][:2] == [
        "mobile_sam",
        "vit_b",
    ]
    assert seen[-1] == (len(offered[1]), len(offered[1]))


def test_a_damaged_download_is_discarded(offered: tuple[Path, bytes], cache: Path) -> None:
    offered[0].write_bytes(b"something else")
    with pytest.raises(ModelError, match="does not have the SHA-256"):
        weights.download(weights.MODELS["vit_b"])
    assert not list(cache.iterdir())


def test_a_model_that_cannot_be_had_names_the_ways_to_get_it(offered: tuple[Path, bytes]) -> None:
    offered[0].unlink()
    with pytest.raises(ModelError, match=r"cannot be downloaded .*alps-geo models.*--checkpoint"):
        load_model("vit_b")


@pytest.mark.parametrize("large_batches", [False, True])
def test_the_encoder_is_timms(large_batches: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "wants_large_batches", lambda _: large_batches)
    torch.manual_seed(0)
    reference = ReferenceTinyVit().eval()
    for name, values in reference.state_dict().items():
        if name.endswith("running_var"):
            torch.nn.init.uniform_(values, 0.5, 1.5)
        elif ("bn." in name and values.ndim) or name.endswith("attention_biases"):
            torch.nn.init.normal_(values, std=0.5)
    encoder = TinyVitEncoder()
    state = {k: v for k, v in reference.state_dict().items() if not k.endswith("batches_tracked")}
    encoder.load_state_dict(fold_norms(state))
    pixels = torch.randn(2, 3, 272, 336)
    with torch.inference_mode():
        torch.testing.assert_close(encoder(pixels), reference(pixels), rtol=1e-4, atol=1e-4)


def test_attention_is_segment_anythings() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=256,
        embed_dim=48,
        depth=2,
        num_heads=3,
        use_rel_pos=True,
        window_size=7,
        global_attn_indexes=(1,),
        out_chans=16,
    ).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    fused = copy.deepcopy(encoder)
    fuse_attention(fused)
    pixels = torch.randn(2, 3, 256, 256)
    with torch.inference_mode():
        torch.testing.assert_close(fused(pixels), encoder(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("content", [b"hello\n", b"", b"\x80\x02}q\x00.", b"PK\x03\x04", b"I1\n."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".tif"])
def test_a_file_of_anything_else_is_no_checkpoint(
    content: bytes, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"weights\.\w+: "):
        load_model("mobile_sam", path, "cpu")


def test_a_gpu_without_room_for_the_model_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other programs leave it: CUDA's own error goes on with hints for its developers."""

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: out of memory\nSearch for `cudaError'\nFor debugging")

    monkeypatch.setattr("torch.nn.Module.to", full)
    with pytest.raises(ModelMemoryError) as caught:
        load_model()
    assert str(caught.value) == (
        "CUDA error: out of memory; expected room for the model: end other programs, or use fewer "
        "--workers"
    )
