"""Text from the templates next to this module: HTML pages, Markdown, and projects of QGIS."""

from __future__ import annotations

import base64
import re
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

if TYPE_CHECKING:
    from PIL import Image


def render(template: str, **values: object) -> str:
    """Fill in a template; values are escaped in templates of HTML and XML.

    Parameters
    ----------
    template : str
        Name of a file in ``alps_geo/outputs/templates``.
    **values : object
        The variables of the template.
    """
    return _environment().get_template(template).render(values)


def data_uri(data: bytes, media_type: str) -> str:
    """Return a file as an address that holds it.

    >>> data_uri(b"abc", "image/png")
    'data:image/png;base64,YWJj'
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("alps_geo.outputs"),
        autoescape=select_autoescape(["html", "qgs"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _jpeg_uri
    environment.filters["plain"] = _plain
    return environment


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, also in a cell of a table."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", " ".join(text.split()))


def _jpeg_uri(image: Image.Image, quality: int) -> str:
    """Return a picture as a JPEG inside an address."""
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return data_uri(buffer.getvalue(), "image/jpeg")
