"""Fixtures of several test files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alps_geo.sam.model import SamModel


# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
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
