"""Pages from templates; every text that comes in goes out escaped."""

from __future__ import annotations

import base64
import io
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import PIL.Image

from captum_fv.core.arrays import Image

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **names: Any) -> str:
    """A template of report/assets, filled; a name that it misses is an error."""
    return _environment().get_template(template).render(names)


def resource(name: str) -> str:
    """A file of report/assets, as text."""
    return (files("captum_fv.report") / "assets" / name).read_text(encoding="utf-8")


def jpeg_uri(image: Image) -> str:
    """A photo or a map, as a small JPEG that lies in the page itself."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("captum_fv.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["jpeg"] = jpeg_uri
    return environment
