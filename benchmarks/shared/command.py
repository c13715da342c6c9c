"""What both studies can be told on the command line, and how they hand over their tables."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from captum_fv.report.text_table import TextTable


def study_parser(
    description: str, parts: Iterable[str], limit: int, out: str
) -> argparse.ArgumentParser:
    """A parser that knows the data, the model, the parts and the folder."""
    every = list(parts)
    known = f"some of {', '.join(every)}"

    def some_of(text: str) -> list[str]:
        named = text.split(",")
        if unknown := [name for name in named if name not in every]:
            raise argparse.ArgumentTypeError(f"got {', '.join(unknown)}; want {known}")
        return named

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default="generated", help='"generated" or NAME/NAME_0001.jpg')
    parser.add_argument("--pairs", type=Path, help="pairs.txt of such a folder")
    parser.add_argument("--model", default="demo", help='"demo" or a .pt2 or TorchScript file')
    parser.add_argument("--mean", type=float, default=0.5)
    parser.add_argument("--std", type=float, default=0.5)
    parser.add_argument("--parts", type=some_of, default=every, help=known)
    parser.add_argument("--limit", type=int, default=limit, help="take this many, evenly spread")
    parser.add_argument("--steps", type=int, default=20, help="of every curve; the paper takes 20")
    parser.add_argument("--out", type=Path, default=Path("captum-fv-out", out))
    return parser


def hand_over(table: TextTable, folder: Path) -> None:
    """Print a table, and write it as Markdown and CSV."""
    print(f"\n{table.caption}\n\n{table.markdown()}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table.name}.md").write_text(table.markdown(), encoding="utf-8")
    (folder / f"{table.name}.csv").write_text(table.csv(), encoding="utf-8")
