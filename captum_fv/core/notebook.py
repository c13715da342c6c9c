"""Results as notebooks show them: a small table, or a data frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from captum_fv.core.toolkits import needs


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table for `_repr_html_`; all texts are escaped.

    >>> html_table("1 < 2", ["a"], [["<b>"]])
    '<table><caption>1 &lt; 2</caption><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """

    def line(tag: str, cells: Iterable[object]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    lines = [line("th", header), *(line("td", row) for row in rows)]
    return f"<table><caption>{escape(caption)}</caption>{''.join(lines)}</table>"


def data_frame(columns: Mapping[str, Any]) -> Any:
    """A pandas.DataFrame of these columns.

    Raises:
        ImportError: pandas is missing.
    """
    with needs("pandas", "pandas"):
        import pandas
    return pandas.DataFrame(dict(columns))
