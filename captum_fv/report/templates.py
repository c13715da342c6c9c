"""Pages from templates; every text that comes in goes out escaped, and without what nobody sees."""

from __future__ import annotations

import base64
import io
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import PIL.Image

from captum_fv.core.arrays import Image
from captum_fv.report.pair_words import cosine_text, seen_text, signed

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **names: Any) -> str:
    """A template of report/assets, filled; a name that it misses is an error."""
    return _environment().get_template(template).render(names)


def resource(name: str) -> str:
    """A file of report/assets, as text."""
    return (files("captum_fv.report") / "assets" / name).read_text(encoding="utf-8")


def jpeg_uri(image: Image, quality: int = 82) -> str:
    """A photo or a map as a small JPEG that lies in the page itself."""
    return _encoded(image, "jpeg", quality=quality)


def png_uri(image: Image) -> str:
    """A photo without loss, in the page itself."""
    return _encoded(image, "png")


def data_uri(data: bytes, kind: str) -> str:
    """An image file of a kind, as an address that is the file itself."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _encoded(image: Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, kind.upper(), optimize=True, **options)
    return data_uri(buffer.getvalue(), kind)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("captum_fv.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: seen_text(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # `tojson` escapes what could end the script's element; NaN would be no JSON.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    environment.filters.update(signed=signed, cosine=cosine_text, jpeg=jpeg_uri)
    return environment
