"""The index of a list of pairs: a line for each, with a link to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captum_fv.core.files import write_atomically
from captum_fv.report.templates import render, resource


def write_pair_index(
    rows: Sequence[Mapping[str, Any]], path: Path, model: str, threshold: float
) -> None:
    """Write the index beside the folder `pairs/` of its pages.

    Args:
        rows: Of each pair its number `pair`, the names `a` and `b`, `genuine` (None: unknown),
            `score`, `matches`, `log10_lr`, and `error`, the reason why it has no page.
        path: The file.
        model: The model's name.
        threshold: The cosine from which a pair matches.
    """
    explained = [row for row in rows if row["error"] is None]
    labelled = [row for row in explained if row["genuine"] is not None]
    page = render(
        "index.html.jinja",
        rows=rows,
        model=model,
        threshold=threshold,
        explained=len(explained),
        matches=sum(row["matches"] for row in explained),
        labelled=bool(labelled),
        wrong=sum(row["matches"] != row["genuine"] for row in labelled),
        has_evidence=any(row["log10_lr"] is not None for row in explained),
        style=resource("base.css"),
    )
    write_atomically(path, page.encode())
