"""One table of results, written as Markdown, CSV and LaTeX with the same figures in each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from captum_fv.core.notebook import data_frame, html_table
from captum_fv.metrics.bootstrap import Interval


@dataclass(frozen=True)
class Verdict:
    """What figures come to, in words.

    Args:
        words: What the table says.
        kind: "good" or "bad"; "control" in the row of what is there only to be compared with.
    """

    words: str
    kind: Literal["good", "bad", "control"]

    def __str__(self) -> str:
        return self.words


class Rounded(str):
    """A figure as tables show it, which knows its full value.

    Args:
        digits: What is shown.
        value: In full, for CSV.

    >>> Rounded.of(0.12345, ".2f"), Rounded.of(0.12345, ".2f").value
    ('0.12', 0.12345)
    """

    value: float

    def __new__(cls, digits: str, value: float) -> Rounded:
        """The digits, with the value beside them."""
        rounded = super().__new__(cls, digits)
        rounded.value = float(value)
        return rounded

    @classmethod
    def of(cls, value: float, digits: str) -> Rounded:
        """A value in a format such as ".2f"."""
        return cls(format(value, digits), value)


CONTROL = Verdict("(control)", "control")

Cell = str | Interval | Verdict

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class TextTable:
    """A table of text and intervals.

    Args:
        name: Of its files.
        caption: What it shows, one sentence.
        header: A title for each column.
        rows: A cell for each column; text, or a figure with its interval.
        notes: How to read it, a sentence or two each.
        with_interval: Titles of the columns that have an interval, in whichever row.

    >>> table = TextTable("t", "Areas.", ["method", "AUC"], [["a_b", Interval(1.5, 1.25, 1.75)]])
    >>> print(table.csv(), end="")
    method,AUC,AUC low,AUC high
    a_b,1.5,1.25,1.75
    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    with_interval: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"{self.name}: got a row of {len(row)} cells; want {len(self.header)}"
                )

    def by_model(self) -> tuple[list[str], dict[str, list[Sequence[Cell]]]]:
        """Header and rows without the model; model -> its rows, or "" where none is named."""
        if self.header[0] != "model":
            return list(self.header), {"": list(self.rows)}
        grouped: dict[str, list[Sequence[Cell]]] = {}
        for model, *row in self.rows:
            grouped.setdefault(str(model), []).append(row)
        return list(self.header[1:]), grouped

    def markdown(self) -> str:
        """Only the rows, as a GitHub table."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(map(_markdown, line)) + " |" for line in lines) + "\n"

    def columns(self) -> dict[str, list[str | float]]:
        """Title -> what stands below it, in full; a figure with an interval fills three columns.

        They are the figure, its low and its high end; NaN where there is no such.
        """
        return dict(zip(self._titles(str), self._figures(), strict=True))

    def csv(self) -> str:
        """The `columns`, in full precision; what is not known is empty.

        Spreadsheets run text that begins with =, +, - or @ as a formula: it gets an apostrophe.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._titles(_csv))
        writer.writerows(map(_csv, row) for row in zip(*self._figures(), strict=True))
        return text.getvalue()

    def _is_wide(self, i: int) -> bool:
        """Whether a column has intervals."""
        return self.header[i] in self.with_interval or any(
            isinstance(row[i], Interval) for row in self.rows
        )

    def _titles(self, show: Callable[[str], str]) -> list[str]:
        titles = []
        for i, title in enumerate(map(show, self.header)):
            titles += [title, f"{title} low", f"{title} high"] if self._is_wide(i) else [title]
        return titles

    def _figures(self) -> list[list[str | float]]:
        columns: list[list[str | float]] = []
        for i in range(len(self.header)):
            cells = [row[i] for row in self.rows]
            if self._is_wide(i):
                figures = [cell if isinstance(cell, Interval) else _alone(cell) for cell in cells]
                columns += [[figure[part] for figure in figures] for part in range(3)]
            else:
                columns.append([_alone(cell)[0] for cell in cells])
        return columns

    def to_pandas(self) -> Any:
        """The `columns` as a pandas.DataFrame.

        Raises:
            ImportError: pandas is missing.
        """
        return data_frame(self.columns())

    def __repr__(self) -> str:
        return f"TextTable({self.name!r}, {len(self.rows)} rows of {', '.join(self.header)})"

    def _repr_html_(self) -> str:
        return html_table(self.caption, self.header, self.rows)

    def latex(self) -> str:
        """A floating table over both columns, for booktabs."""
        columns = "l" * len(self.header)
        titles = [_stack([_latex(part) for part in title.split(" ", 1)]) for title in self.header]
        rows = [[_latex(cell) for cell in row] for row in self.rows]
        lines = [" & ".join(line) + r" \\" for line in [titles, *rows]]
        caption = " ".join([self.caption, *self.notes])
        return "\n".join(
            [
                r"% \usepackage{booktabs}",
                r"\begin{table*}",
                r"  \centering\scriptsize\setlength{\tabcolsep}{2pt}",
                rf"  \caption{{{_latex(caption)}}}",
                rf"  \label{{tab:{self.name}}}",
                rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}",
                r"    \toprule",
                f"    {lines[0]}",
                r"    \midrule",
                *(rf"    {line} \addlinespace[2pt]" for line in lines[1:]),
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table*}",
                "",
            ]
        )


def visible(cell: Cell) -> str:
    """Text in which whatever steers a terminal, or turns the reading direction, can be seen.

    >>> print(visible("\\x1b[2J"))
    \\x1b[2J
    """
    return re.sub(
        "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]",
        lambda found: found[0].encode("unicode_escape").decode(),
        str(cell),
    )


def _alone(cell: Cell) -> tuple[str | float, float, float]:
    """A cell without an interval in three columns."""
    return cell.value if isinstance(cell, Rounded) else str(cell), np.nan, np.nan


def _csv(value: str | float) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(float(value))
    text = visible(value)
    formula = text.lstrip()[:1] in ("=", "+", "-", "@") and text != "-" and not _is_number(text)
    return f"'{text}" if formula else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _markdown(cell: Cell) -> str:
    text = " ".join(visible(cell).split()).replace("\\", "\\\\").replace("|", "\\|")
    # No tag, no link, and no picture that is fetched from somewhere as soon as the table is read.
    return text.replace("<", "&lt;").replace("![", "\\!\\[").replace("](", "]\\(")


def _stack(lines: Sequence[str]) -> str:
    """Short lines one above the other, since a page is narrow."""
    stacked = r"\\".join(lines)
    return stacked if len(lines) == 1 else rf"\shortstack[l]{{{stacked}}}"


def _latex(cell: Cell) -> str:
    if isinstance(cell, Interval):
        return _stack([cell.figure, rf"{{\tiny {cell.span}}}"])
    text = re.sub(r"[\\~^&%$#_{}]", lambda found: _LATEX[found[0]], " ".join(visible(cell).split()))
    # A row that began with a bracket would be read as an option of the `\\` before it.
    return f"{{[}}{text[1:]}" if text.startswith("[") else text
