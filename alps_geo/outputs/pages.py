"""HTML pages from the templates next to this module, each with all that it needs inside."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from PIL import Image


def render(template: str, **values: object) -> str:
    """Fill in a template; values are escaped for HTML.

    Parameters
    ----------
    template : str
        Name of a file in ``alps_geo/outputs/templates``.
    **values : object
        The variables of the template.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("alps_geo.outputs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment


def _data_uri(image: Image.Image, quality: int) -> str:
    """Return a picture as a JPEG inside an address."""
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
