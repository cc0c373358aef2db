"""Fixtures of several test files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from alps_geo.sam.model import SamModel


@pytest.fixture(scope="session")
def mobile_sam() -> SamModel:
    """Load the model that ships with the package once, on the CPU, in float32."""
    from alps_geo.sam.model import load_model

    return load_model("mobile_sam", device="cpu")
