"""Fixtures of several test files."""

from __future__ import annotations

import os
from shutil import copytree
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alps_geo.sam.model import SamModel


# Runs at different times give the same bytes; tests of dates set another one.
os.environ["SOURCE_DATE_EPOCH"] = "946684800"

# A busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def mobile_sam() -> SamModel:
    """Load the model that ships with the package once, on the CPU, in float32."""
    from alps_geo.sam.model import load_model

    return load_model("mobile_sam", device="cpu")


@pytest.fixture(scope="module")
def images_encoded_once() -> Iterator[None]:
    """Let runs in this process encode an image once only, since each takes a second.

    Other pixels are another image, and a run that is a process of its own encodes as ever.
    """
    from remembering import load_remembering

    from alps_geo.masks import sam1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sam1, "load_model", load_remembering)
        yield


@pytest.fixture
def patient_with_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scheduler take a minute to answer, as it may on a busy machine."""
    monkeypatch.setattr("alps_geo.tiles.dask._SECONDS_TO_CONNECT", 60.0)


@pytest.fixture(scope="session")
def labelled_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label a folder of images once; it is not to be changed."""
    from image_folders import label, make_root

    root = make_root(tmp_path_factory.mktemp("labelled_images") / "root")
    label(root)
    return root


@pytest.fixture
def image_run(labelled_images: Path, tmp_path: Path) -> Path:
    """Copy the labelled folder of images, to be changed."""
    return copytree(labelled_images, tmp_path / "root")
