"""A list of pairs, explained into a folder: a page for each, tables of all, and an index."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from tqdm import tqdm

from captum_fv.core.arrays import Image
from captum_fv.core.files import alone_in, reading, refuse_another, write_atomically
from captum_fv.data.face_search import SeveralFacesError
from captum_fv.data.pairs import PairSet
from captum_fv.explain.explainer import PairExplainer
from captum_fv.explain.explanation import PairExplanation
from captum_fv.report.pair_index import write_pair_index

SETTINGS, PAGES = "settings.json", "pairs"
_THUMB = 112

Row = dict[str, Any]
"""What is known of one pair: a line of results.csv and of results.jsonl."""


def explain_list(
    explainer: PairExplainer,
    pairs: PairSet,
    out: str | Path,
    *,
    largest: bool = False,
    aligned: bool = False,
    show_progress: bool = False,
) -> str:
    """Explain every pair of a list into a folder; what is there already is not made again.

    The folder gets `index.html`, `results.csv` and `results.jsonl` (a line for each pair), and in
    `pairs/` a page for each. A pair whose photos cannot be explained, as when no face is found, has
    its reason in its line. It may be killed at any time: the same call goes on.

    Args:
        explainer: The model and what is asked of it.
        pairs: The list, as `read_pairs` gives it; it need not be labelled.
        out: The folder: new, empty, or of an interrupted call.
        largest, aligned: As in `explain_photos`, for all photos.
        show_progress: Show a bar.

    Returns:
        What was done, in words.

    Raises:
        ValueError: The folder holds other things, or pages made with other settings, or another
            process writes there.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; want a new or empty folder, or that of a list")
    out.mkdir(parents=True, exist_ok=True)
    settings = explainer.settings() | _of_list(pairs) | {"largest": largest, "aligned": aligned}
    with alone_in(out):
        _begin(out, settings)
        rows = []
        for k in tqdm(range(len(pairs)), unit="pair", disable=not show_progress):
            row = _read_row(out, k)
            if row is None:
                row = _explain_one(explainer, pairs, k, out, largest=largest, aligned=aligned)
            rows.append(row)
        _write_tables(out, rows)
        write_pair_index(rows, out / "index.html", explainer.name, explainer.threshold.value)
    errors = [row["error"] for row in rows if row["error"] is not None]
    failed = len(errors)
    if failed == len(rows):
        raise ValueError(f"{out}: none of {failed} pairs could be explained: {errors[0]}")
    said = f"wrote {len(rows) - failed} of {len(rows)} pages; {out / 'index.html'} lists them"
    return said + f", and why {failed} could not be made" * bool(failed)


def _of_list(pairs: PairSet) -> dict[str, Any]:
    listed = [list(pairs.people), list(pairs.names)]
    digest = sha256(json.dumps(listed).encode()).hexdigest()
    return {"list": pairs.name, "pairs": len(pairs), "list_sha256": digest}


def _begin(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings, or see that those that are there are the same."""
    path = out / SETTINGS
    settings = json.loads(json.dumps(settings, sort_keys=True))  # as it is read back
    if path.is_file():
        with reading(path):
            before = json.loads(path.read_text("utf-8"))
        refuse_another(out, "pages of a list", before, settings)
    else:
        others = sorted(file.name for file in out.iterdir() if not file.name.startswith("."))
        if others:
            raise ValueError(
                f"{out} holds {others[0]} and no pages of a list; want a new or empty folder"
            )
        write_atomically(path, json.dumps(settings, indent=1, sort_keys=True).encode())
    (out / PAGES).mkdir(exist_ok=True)


def _explain_one(
    explainer: PairExplainer,
    pairs: PairSet,
    k: int,
    out: Path,
    *,
    largest: bool,
    aligned: bool,
) -> Row:
    """Write a pair's page and pictures, and last its line, which says that all is there."""
    names = _names(pairs, k)
    genuine = bool(pairs.genuine[k]) if pairs.labelled else None
    row: Row = {"pair": k + 1, "a": names[0], "b": names[1], "genuine": genuine}
    try:
        found = explainer.explain(*pairs.pair(k), names=names, largest=largest, aligned=aligned)
    except SeveralFacesError as error:
        row |= _told(None) | {"error": f"{error}; --largest takes the largest"}
    except (OSError, ValueError) as error:
        row |= _told(None) | {"error": str(error)}
    else:
        found.save(out / PAGES / f"{k + 1:04d}.html")
        for view, side in zip(found.document.photos, "ab", strict=True):
            thumb = _thumbnail(view.crop)
            write_atomically(out / PAGES / f"{k + 1:04d}_{side}.jpg", thumb)
        row |= _told(found) | {"error": None}
    write_atomically(_row_path(out, k), json.dumps(row).encode())
    return row


def _told(found: PairExplanation | None) -> Row:
    """The figures of a pair; all None where there are none."""
    if found is None:
        return dict.fromkeys(("score", "threshold", "matches", "log10_lr", "regions"))
    return {
        "score": found.score,
        "threshold": found.threshold,
        "matches": found.matches,
        "log10_lr": None if found.evidence is None else found.evidence.log10_lr,
        "regions": {row.name: row.contribution for row in found.document.regions},
    }


def _names(pairs: PairSet, k: int) -> tuple[str, str]:
    if pairs.names:
        return pairs.names[2 * k], pairs.names[2 * k + 1]
    return f"photo {2 * k + 1}", f"photo {2 * k + 2}"


def _row_path(out: Path, k: int) -> Path:
    return out / PAGES / f"{k + 1:04d}.json"


def _read_row(out: Path, k: int) -> Row | None:
    """The line of a pair that was explained before; None if it failed, is not there, or damaged."""
    try:
        row: Row = json.loads(_row_path(out, k).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    is_whole = isinstance(row, dict) and row.get("pair") == k + 1 and row.get("error", "") is None
    return row if is_whole and (out / PAGES / f"{k + 1:04d}.html").is_file() else None


def _write_tables(out: Path, rows: Sequence[Row]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomically(out / "results.jsonl", lines.encode())
    regions = next((list(row["regions"]) for row in rows if row["regions"]), [])
    flat = [_flat(row, regions) for row in rows]
    table = io.StringIO()
    writer = csv.DictWriter(table, [*flat[0]] if flat else ["pair"])
    writer.writeheader()
    writer.writerows(flat)
    write_atomically(out / "results.csv", table.getvalue().encode())


def _flat(row: Row, regions: Sequence[str]) -> Row:
    """A line for spreadsheets: a column for each region, and no text that one would compute."""
    adds = row["regions"] or {}
    flat = {key: value for key, value in row.items() if key != "regions"}
    flat |= {region: adds.get(region) for region in regions}
    return {
        key: "'" + value if isinstance(value, str) and value[:1] in "=+-@\t\r" else value
        for key, value in flat.items()
    }


def _thumbnail(crop: Image) -> bytes:
    picture = PIL.Image.fromarray(np.ascontiguousarray(crop))
    picture.thumbnail((_THUMB, _THUMB))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
