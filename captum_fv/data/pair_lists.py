"""Lists of pairs as people have them: of photos' names or paths, or insightface's .bin files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from captum_fv.core.arrays import Image
from captum_fv.data.images import IMAGE_SUFFIXES, decode_image
from captum_fv.data.lfw import (
    Photo,
    check_there,
    load_listed,
    parse_pair,
    photo_path,
    read_lines,
)
from captum_fv.data.packed_pairs import read_packed_pairs
from captum_fv.data.pairs import PairSet

_LABELS = {"true": True, "same": True, "false": False, "different": False, "diff": False}


class _Pair(NamedTuple):
    photos: tuple[Photo, Photo]
    genuine: bool | None
    """None where the list does not say."""


def read_pairs(
    images: str | Path,
    pairs: str | Path,
    size: tuple[int, int] | None = None,
    folds: Sequence[int] | None = None,
    *,
    check_images: bool = False,
    skip_missing: bool = False,
    unlabelled: bool = False,
) -> PairSet:
    """The pairs of a list of any usual kind, in file order; photos are read only when asked for.

    Columns are separated by tabs, commas or spaces (a name with spaces wants one of the others);
    empty lines do not matter. The kinds are:

    - LFW's: a header of counts, then lines as `lfw_pairs` describes. Other counts than the header
      promises are taken as they are, with a warning.
    - The same lines without a header, in any order and number.
    - "path path label": 1, true or same for genuine pairs; 0, -1, false or different.
    - "path label", two lines for each pair, as CPLFW and CALFW have it; 0 is an impostor pair.
    - insightface's .bin (lfw.bin, agedb_30.bin, cfp_fp.bin), which has the photos in it. It is a
      pickle, and refused if it holds more than bytes, lists, tuples and booleans.

    Who is in a photo is its folder's or file's name where that agrees with all labels, else it
    follows from the genuine pairs.

    Args:
        images: The folder that paths start from; a .bin needs none.
        pairs: The list.
        size: (H, W) every photo must have; None takes any.
        folds: Which folds of a list with LFW's header, counted from 1; None takes all.
        check_images: Look now that every photo exists (none is opened).
        skip_missing: Leave pairs out whose photos are not there; a warning says how many.
        unlabelled: Also take "path path", of which nobody knows whether the pair is genuine; the
            set then is not `labelled`.

    Raises:
        FileNotFoundError: The list is missing, or (with `check_images`) a photo.
        ValueError: A line of no such kind, a path that leads out of the folder, or no pairs.
    """
    images, path = Path(images), Path(pairs)
    if path.suffix.lower() == ".bin":
        if folds is not None:
            raise ValueError(f"{path}: a .bin has no folds")
        encoded, genuine = read_packed_pairs(path)
        names = _linked_names(encoded, genuine)
        return PairSet(path.stem, names, partial(_decode, encoded, str(path), size))
    listed, people = _read_list(path, folds, unlabelled)
    if skip_missing:
        there = [all(photo_path(images, photo).is_file() for photo in p.photos) for p in listed]
        people = [people[2 * k + side] for k in range(len(listed)) if there[k] for side in (0, 1)]
        kept = [pair for pair, both in zip(listed, there, strict=True) if both]
        if len(kept) < len(listed):
            warnings.warn(
                f"{path}: {len(listed) - len(kept)} of {len(listed)} pairs are left out, whose "
                f"photos are not in {images}",
                stacklevel=2,
            )
        listed = kept
    if not listed:
        raise ValueError(f"{path}: no pairs" + f" with photos in {images}" * skip_missing)
    photos = [photo for pair in listed for photo in pair.photos]
    if check_images:
        check_there(images, path, photos)
    load = partial(load_listed, images, path, photos, size)
    labelled = all(pair.genuine is not None for pair in listed)
    return PairSet(path.stem, people, load, [photo.called for photo in photos], labelled)


def _read_list(
    path: Path, folds: Sequence[int] | None, unlabelled: bool
) -> tuple[list[_Pair], list[str]]:
    """The pairs, and who is in each photo."""
    lines = [(number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    header: list[int] = []
    if lines and re.fullmatch(r"\s*\d+(\s+\d+)?\s*", lines[0][1]):
        header = [int(word) for word in lines.pop(0)[1].split()]
    elif folds is not None:
        raise ValueError(f"{path}: no header of LFW's kind, so no folds; leave them out")
    listed: list[_Pair] = []
    half: tuple[Photo, bool] | None = None
    widths = (2, 3) if unlabelled else (3,)
    for place, (number, line) in enumerate(lines):
        where = f"{path}, line {number}"
        columns = _columns(line)
        if place == 0 and _is_title(columns):
            continue
        if len(columns) == 2 and _is_path(columns[0]) and not _is_path(columns[1]):
            photo, label = _photo(columns[0], number, where), _label(columns[1], where)
            if half is None:
                half = photo, label
                continue
            if half[1] != label:
                raise ValueError(f"{where}: both lines of a pair want the same label, got {line!r}")
            listed.append(_Pair((half[0], photo), label))
            half = None
        elif len(columns) in widths and all(map(_is_path, columns[:2])):
            one, other = (_photo(column, number, where) for column in columns[:2])
            known = _label(columns[2], where) if len(columns) == 3 else None
            listed.append(_Pair((one, other), known))
        elif len(columns) in (3, 4) and not _is_path(columns[0]):
            label = len(columns) == 3
            listed.append(_Pair(parse_pair(path, number, line, label), label))
        elif len(columns) == 2 and all(map(_is_path, columns)):
            raise ValueError(
                f"{where}: want 'path path label', got {line!r}; the label is 1 for photos of one "
                "person and 0 for those of two"
            )
        else:
            raise ValueError(
                f"{where}: want 'name number number', 'name number name number', 'path path label' "
                f"or 'path label' (two lines a pair), got {line!r}; separate names with spaces by "
                "tabs"
            )
    if half is not None:
        raise ValueError(f"{path}, line {half[0].line}: the pair's second line is missing")
    if header:
        listed = _in_folds(path, listed, header, folds)
    photos = [photo for pair in listed for photo in pair.photos]
    names = [photo.person for photo in photos]
    genuine = [pair.genuine for pair in listed if pair.genuine is not None]
    if (
        len(genuine) == len(listed)
        and [a == b for a, b in zip(names[::2], names[1::2], strict=True)] != genuine
    ):
        names = _linked_names([photo.file or photo.person for photo in photos], genuine)
    return listed, names


def _in_folds(
    path: Path, listed: list[_Pair], header: list[int], folds: Sequence[int] | None
) -> list[_Pair]:
    """The pairs of the chosen folds of a list with a header, "folds n", or "n" for one fold.

    Each fold has its genuine pairs first. So the next one begins where they come again, however
    many of each kind there are.
    """
    fold_count, per_fold = header if len(header) == 2 else (1, header[0])
    genuine = [bool(pair.genuine) for pair in listed]
    promised = fold_count * 2 * per_fold
    usual = ([True] * per_fold + [False] * per_fold) * fold_count if len(listed) == promised else []
    if genuine != usual:
        warnings.warn(
            f"{path}: the header promises {fold_count} x 2 x {per_fold} = {promised} pairs, and "
            f"the list has {sum(genuine)} genuine and {len(genuine) - sum(genuine)} impostor ones, "
            "which are taken as they are; if it was cut short, copy it again",
            stacklevel=4,
        )
    if folds is None:
        return listed
    starts = [k for k, same in enumerate(genuine) if k == 0 or (same and not genuine[k - 1])]
    starts = starts[:1] if fold_count == 1 else starts
    if len(starts) != fold_count:
        raise ValueError(
            f"{path}: the header promises {fold_count} folds, and genuine pairs follow impostor "
            f"pairs {len(starts) - 1} times, so the folds cannot be told; leave them out, or list "
            "the genuine pairs of each fold before its impostor pairs"
        )
    if not all(fold in range(1, fold_count + 1) for fold in folds):
        raise ValueError(f"folds: got {folds!r}; want a list of folds 1 to {fold_count} of {path}")
    ends = [*starts[1:], len(listed)]
    return [pair for fold in folds for pair in listed[starts[fold - 1] : ends[fold - 1]]]


def _columns(line: str) -> list[str]:
    for separator in ("\t", ",", ";"):
        columns = [column.strip() for column in line.strip().split(separator)]
        if 2 <= len(columns) <= 4:
            return columns
    return line.split()


def _is_title(columns: list[str]) -> bool:
    """Whether this names columns, as "path1,path2,label" does."""
    last = columns[-1].lower()
    return len(columns) > 1 and last.isidentifier() and last not in _LABELS and last != "."


def _is_path(text: str) -> bool:
    return text.lower().endswith(IMAGE_SUFFIXES) or "/" in text or "\\" in text


def _label(text: str, where: str) -> bool:
    if text.lower() in _LABELS:
        return _LABELS[text.lower()]
    if not re.fullmatch(r"-1|\d+", text):
        raise ValueError(f"{where}: want a label, 1 for a genuine pair or 0, got {text!r}")
    return int(text) > 0


def _photo(text: str, number: int, where: str) -> Photo:
    path = PureWindowsPath(text)  # which knows both kinds of slashes, and drives
    if path.anchor or ".." in path.parts or not path.parts or not text.isprintable():
        raise ValueError(f"{where}: want a path within the folder of the photos, got {text!r}")
    folder, stem = path.parent.name, re.sub(r"_?\d+$", "", path.stem)
    return Photo(folder or stem or path.stem, 0, number, path.as_posix())


def _linked_names(photos: Sequence[object], genuine: Sequence[bool]) -> list[str]:
    """Who is in each photo of pairs without names: genuine pairs link photos to one person.

    Where labels contradict each other, each pair is by itself.
    """
    parent: dict[object, object] = {photo: photo for photo in photos}

    def find(photo: object) -> object:
        while parent[photo] != photo:
            parent[photo] = photo = parent[parent[photo]]
        return photo

    for k, same in enumerate(genuine):
        if same:
            parent[find(photos[2 * k])] = find(photos[2 * k + 1])
    numbers: dict[object, int] = {}
    names = [f"person-{numbers.setdefault(find(p), len(numbers))}" for p in photos]
    if [a == b for a, b in zip(names[::2], names[1::2], strict=True)] == list(genuine):
        return names
    return [f"pair-{k}{side * (not same)}" for k, same in enumerate(genuine) for side in ("", "-b")]


def _decode(photos: Sequence[bytes], name: str, size: tuple[int, int] | None, i: int) -> Image:
    return decode_image(photos[i], f"{name}, photo {i}", size)
