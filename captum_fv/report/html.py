"""Small pieces of HTML; every text that comes in goes out escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
import PIL.Image

from captum_fv.core.arrays import Image
from captum_fv.metrics.bootstrap import Interval
from captum_fv.report.text_table import Cell, TextTable, Verdict


def tag(name: str, *children: str, **attributes: str | int | None) -> str:
    """An element; its children are HTML already, its attributes are text. None leaves one out.

    A trailing or inner underscore of an attribute's name becomes nothing or a hyphen.

    >>> tag("p", text("1 < 2"), class_="note", data_value='"')
    '<p class="note" data-value="&quot;">1 &lt; 2</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>"


def text(value: object) -> str:
    """Text as HTML."""
    return escape(str(value))


def vector(svg: bytes, alt: str) -> str:
    """A drawing."""
    return _picture(svg, "svg+xml", alt)


def _picture(data: bytes, kind: str, alt: str) -> str:
    """An image that lies in the page itself."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}">'


def photo(image: Image, alt: str) -> str:
    """A photo or a map, as a small JPEG."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "JPEG", quality=82, optimize=True)
    return _picture(buffer.getvalue(), "jpeg", alt)


def drawn(png: bytes, alt: str) -> str:
    """A figure of photos, as a JPEG, since a PNG would be five times as large."""
    return photo(np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB")), alt)


def table_html(table: TextTable) -> str:
    """A table with its caption and notes; rows of controls are quiet, warnings loud."""
    head = tag("tr", *(tag("th", text(title), scope="col") for title in table.header))
    body = "\n".join(_row(table, row) for row in table.rows)
    caption = tag("caption", text(table.caption))
    whole = tag("table", caption, tag("thead", head), tag("tbody", "\n", body), id=table.name)
    notes = tag("p", text(" ".join(table.notes)), class_="notes") if table.notes else ""
    # A wide table scrolls by itself, and by keyboard if it can be focused.
    region = tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=table.caption)
    return region + notes


def _row(table: TextTable, row: Sequence[Cell]) -> str:
    cells, is_control = [], False
    for title, cell in zip(table.header, row, strict=True):
        if isinstance(cell, Interval):
            span = tag("small", text(cell.span))
            cells.append(tag("td", text(cell.figure), span, data_value=cell.figure))
        elif isinstance(cell, Verdict):
            cells.append(tag("td", text(cell), class_="loud" if cell.kind == "bad" else None))
            is_control |= cell.kind == "control"
        elif title in ("model", "method"):
            cells.append(tag("th", text(cell), scope="row"))
        else:
            cells.append(tag("td", text(cell)))
    return tag("tr", *cells, class_="control" if is_control else None)
