"""One table of results, written as Markdown, CSV and LaTeX with the same figures in each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

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

    def markdown(self) -> str:
        """Only the rows, as a GitHub table."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(map(_markdown, line)) + " |" for line in lines) + "\n"

    def csv(self) -> str:
        """In full precision; a figure with an interval fills three columns: itself, low, high.

        Spreadsheets run text that begins with =, +, - or @ as a formula: it gets an apostrophe.
        """
        lines: list[list[str]] = [[]]
        wide = [
            title in self.with_interval or any(isinstance(row[i], Interval) for row in self.rows)
            for i, title in enumerate(self.header)
        ]
        for title, split in zip(map(_csv, self.header), wide, strict=True):
            lines[0] += [title, f"{title} low", f"{title} high"] if split else [title]
        for row in self.rows:
            line: list[str] = []
            for cell, split in zip(row, wide, strict=True):
                if isinstance(cell, Interval):
                    line += ["" if np.isnan(figure) else repr(float(figure)) for figure in cell]
                else:
                    line += [_csv(cell), "", ""] if split else [_csv(cell)]
            lines.append(line)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        return text.getvalue()

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


def _csv(cell: Cell) -> str:
    if isinstance(cell, Rounded):
        return repr(cell.value)
    text = visible(cell)
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
