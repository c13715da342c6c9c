"""A run and a table as a terminal shows them: text, no wider than the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.metrics.bootstrap import Interval
from captum_fv.report.summary import error_sentence, result_sentence, summary_table
from captum_fv.report.text_table import Cell, TextTable, visible

WIDTH = 100
"""Columns of a terminal that a table may fill."""

_GAP = "  "
_LAST = 18
"""The last column is broken into lines, but is not made narrower than this."""


def run_text(results: BenchmarkResults) -> str:
    """What a run comes to: how its models err, and what was found of its methods."""
    errors = [error_sentence(name, model) for name, model in results.models.items()]
    return "\n".join([*_wrapped(errors), findings_text(results)])


def findings_text(results: BenchmarkResults) -> str:
    """What was found of the methods: a sentence for each model, and one table."""
    found = _wrapped(result_sentence(name, model) for name, model in results.models.items())
    table = summary_table(results)
    return "\n".join([*found, *(["", terminal_text(table)] if table.rows else [])])


def _wrapped(sentences: Iterable[str]) -> list[str]:
    return [line for sentence in sentences for line in wrap(one_line(sentence), WIDTH)]


def terminal_text(table: TextTable, width: int = WIDTH) -> str:
    """A table in columns, below its caption, its notes below it.

    The rows of each model stand under its name. Where the table would be too wide, the intervals
    of its last columns go first, and then its last column is broken into lines.

    >>> print(terminal_text(TextTable("t", "Areas.", ["method", "AUC"], [["a_b", "1.5"]])))
    Areas.
    <BLANKLINE>
    method  AUC
    a_b     1.5
    """
    header, by_model = table.by_model()
    rows = [row for some in by_model.values() for row in some]
    spans = len(header)
    while spans and _width(header, _texts(rows, spans)) > width:
        spans -= 1
    first, *lines = _columns(header, _texts(rows, spans), width)
    shown = [*wrap(table.caption, width), "", *first]
    for model, some in by_model.items():
        shown += [f"{one_line(model)}:"] if model else []
        shown += [line for _ in some for line in lines.pop(0)]
    notes = [part for note in table.notes for part in wrap(note, width)]
    return "\n".join([*shown, *([""] if notes else []), *notes])


def _texts(rows: Sequence[Sequence[Cell]], spans: int) -> list[list[str]]:
    """The cells as text, with intervals in the first `spans` columns alone."""
    return [
        [
            cell.figure if isinstance(cell, Interval) and i >= spans else one_line(cell)
            for i, cell in enumerate(row)
        ]
        for row in rows
    ]


def one_line(cell: Cell) -> str:
    """A cell in one line, in which whatever steers a terminal can be seen."""
    return " ".join(visible(cell).split())


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(header, *rows, strict=True)]


def _width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How wide the table is with its last column as narrow as it may be."""
    *widths, last = _widths(header, rows)
    return sum(widths) + len(_GAP) * len(widths) + min(last, max(_LAST, len(header[-1])))


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> Iterator[list[str]]:
    """The lines of each row, the header's first."""
    *widths, _ = _widths(header, rows)
    before = sum(widths) + len(_GAP) * len(widths)
    for row in [header, *rows]:
        first, *others = wrap(row[-1], max(_LAST, width - before)) or [""]
        cells = [*(cell.ljust(size) for cell, size in zip(row, widths, strict=False)), first]
        yield [_GAP.join(cells).rstrip(), *(" " * before + line for line in others)]
