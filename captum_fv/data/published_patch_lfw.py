"""The Patch-LFW folder as its authors publish it."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from captum_fv.data.images import read_image
from captum_fv.data.pairs import PairSet, load_chosen
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.data.patches import PatchPlaces

LISTS = {True: "patch_idx_gen.txt", False: "patch_idx_imp.txt"}
_PATCH = 16


class _Entry(NamedTuple):
    rows: list[int]
    columns: list[int]
    donor: int


def read_published_patch_lfw(folder: str | Path, clean: PairSet) -> PatchedPairs:
    """The published folder over the clean pairs it was made from.

    Image i in pair order is (i + 1).jpg; only the patched images come from the folder. They are
    JPEG files, so they differ a little from the originals outside their patches, too.

    A line of patch_idx_gen.txt is read as "id1, id2<TAB>donor id<TAB>rows<TAB>columns", one of
    patch_idx_imp.txt as the same without a donor, who is image B. Brackets and the separators
    within a field do not matter. Ids count from 0 if id1 is even (pair k is 2k, 2k + 1), from 1 if
    it is odd; a row is a patch's bottom edge and a column its left edge, as in `PatchPlaces`.

    Args:
        folder: The JPEG files and both lists.
        clean: All pairs of the lists in the same order, 112x112; it gives the originals and B.

    Raises:
        FileNotFoundError: A list or a patched image is missing.
        ValueError: A line that does not fit the layout or the pairs, or a pair without a line.
    """
    folder = Path(folder)
    images = [folder / f"{2 * k + 1}.jpg" for k in range(len(clean))]
    entries: dict[int, _Entry] = {}
    for kind, name in LISTS.items():
        entries |= _read_list(folder / name, kind, clean)
    for k, kind in enumerate(clean.genuine.tolist()):
        if k not in entries:
            raise ValueError(f"{folder / LISTS[kind]}: no line for pair {k}")
        if not images[k].is_file():
            raise FileNotFoundError(f"{images[k]}: no such patched image")
    ordered = [entries[k] for k in range(len(clean))]
    places = PatchPlaces(
        rows=np.array([entry.rows for entry in ordered]),
        columns=np.array([entry.columns for entry in ordered]),
        donors=np.array([entry.donor for entry in ordered]),
        patch=_PATCH,
    )
    return PatchedPairs(
        clean, places, partial(load_chosen, partial(read_image, size=places.size), images)
    )


def _read_list(path: Path, kind: bool, clean: PairSet) -> dict[int, _Entry]:
    """The patches of all pairs of one kind, genuine or not, by number."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of patches")
    genuine, entries = clean.genuine, dict[int, _Entry]()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            k, entry = _parse(line, kind)
            if k >= len(clean) or genuine[k] != kind:
                want = "a genuine" if kind else "an impostor"
                raise ValueError(f"pair {k} of the {len(clean)} clean pairs is not {want} one")
            if k in entries:
                raise ValueError(f"pair {k} has a line already")
            if clean.people[entry.donor] == clean.people[2 * k]:
                raise ValueError(f"donor {entry.donor} shows the person of image A")
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        entries[k] = entry
    return entries


def _parse(line: str, genuine: bool) -> tuple[int, _Entry]:
    """The pair number and its patches, ids counted from 0."""
    fields = [_numbers(field) for field in line.strip().split("\t")]
    donor = fields.pop(1) if genuine and len(fields) == 4 else None
    if len(fields) != 3 or (genuine and (donor is None or len(donor) != 1)):
        form = "id1, id2<TAB>" + "donor<TAB>" * genuine + "rows<TAB>columns"
        raise ValueError(f"want {form!r}, got {line!r}")
    ids, rows, columns = fields
    if len(ids) != 2 or ids[1] != ids[0] + 1:
        raise ValueError(f"want two ids that follow each other, got {ids}")
    if not rows or len(rows) != len(columns):
        raise ValueError(
            f"want as many rows as columns, got {len(rows)} rows and {len(columns)} columns"
        )
    if not (min(rows) >= _PATCH and max(rows) <= 112 and max(columns) <= 112 - _PATCH):
        raise ValueError(f"want bottom edges in [16, 112] and left edges in [0, 96], got {line!r}")
    base = ids[0] % 2
    first = ids[0] - base
    return first // 2, _Entry(rows, columns, first + 1 if donor is None else donor[0] - base)


def _numbers(field: str) -> list[int]:
    if re.search(r"[^\d\s,;()\[\]]", field):
        raise ValueError(f"want whole numbers, got {field!r}")
    return [int(number) for number in re.findall(r"\d+", field)]
