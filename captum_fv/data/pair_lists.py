"""Lists of pairs as people have them: of photos' names or paths, or insightface's .bin files."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from captum_fv.core.arrays import Image
from captum_fv.data.images import IMAGE_SUFFIXES, decode_image
from captum_fv.data.lfw import (
    Photo,
    check_there,
    load_listed,
    parse_pair,
    photo_path,
    read_lfw_list,
    read_lines,
)
from captum_fv.data.pairs import PairSet

_LABELS = {"true": True, "same": True, "false": False, "different": False, "diff": False}
_OPCODES = re.compile(
    r"PROTO|FRAME|MARK|STOP|MEMOIZE|(LONG_)?BIN(PUT|GET)|PUT|GET|EMPTY_(LIST|TUPLE)|LIST|APPENDS?"
    r"|TUPLE[123]?|NEW(TRUE|FALSE)|INT|(SHORT_)?BINBYTES8?|(SHORT_)?(BIN)?STRING"
)


class _Pair(NamedTuple):
    photos: tuple[Photo, Photo]
    genuine: bool


def read_pairs(
    images: str | Path,
    pairs: str | Path,
    size: tuple[int, int] | None = None,
    folds: Sequence[int] | None = None,
    *,
    check_images: bool = False,
    skip_missing: bool = False,
) -> PairSet:
    """The pairs of a list of any usual kind, in file order; photos are read only when asked for.

    Columns are separated by tabs, commas or spaces (a name with spaces wants one of the others);
    empty lines do not matter. The kinds are:

    - LFW's: a header of counts, then lines as `lfw_pairs` describes.
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

    Raises:
        FileNotFoundError: The list is missing, or (with `check_images`) a photo.
        ValueError: A line of no such kind, a path that leads out of the folder, or no pairs.
    """
    images, path = Path(images), Path(pairs)
    if path.suffix.lower() == ".bin":
        if folds is not None:
            raise ValueError(f"{path}: a .bin has no folds")
        return _read_bin(path, size)
    listed, people = _read_list(path, folds)
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
    return PairSet(path.stem, people, load, [photo.called for photo in photos])


def _read_list(path: Path, folds: Sequence[int] | None) -> tuple[list[_Pair], list[str]]:
    """The pairs, and who is in each photo."""
    lines = [(number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    if lines and all(re.fullmatch(r"\d+", word) for word in lines[0][1].split()):
        photos = read_lfw_list(path, folds)
        two = list(zip(photos[::2], photos[1::2], strict=True))
        return [_Pair(pair, pair[0].person == pair[1].person) for pair in two], [
            photo.person for photo in photos
        ]
    if folds is not None:
        raise ValueError(f"{path}: no header of LFW's kind, so no folds; leave them out")
    listed: list[_Pair] = []
    half: tuple[Photo, bool] | None = None
    for place, (number, line) in enumerate(lines):
        where = f"{path}, line {number}"
        columns = _columns(line)
        if place == 0 and _is_title(columns):
            continue
        if len(columns) == 2 and _is_path(columns[0]):
            photo, label = _photo(columns[0], number, where), _label(columns[1], where)
            if half is None:
                half = photo, label
                continue
            if half[1] != label:
                raise ValueError(f"{where}: both lines of a pair want the same label, got {line!r}")
            listed.append(_Pair((half[0], photo), label))
            half = None
        elif len(columns) == 3 and _is_path(columns[0]) and _is_path(columns[1]):
            both = _photo(columns[0], number, where), _photo(columns[1], number, where)
            listed.append(_Pair(both, _label(columns[2], where)))
        elif len(columns) in (3, 4) and not _is_path(columns[0]):
            label = len(columns) == 3
            listed.append(_Pair(parse_pair(path, number, line, label), label))
        else:
            raise ValueError(
                f"{where}: want 'name number number', 'name number name number', 'path path label' "
                f"or 'path label' (two lines a pair), got {line!r}; separate names with spaces by "
                "tabs"
            )
    if half is not None:
        raise ValueError(f"{path}, line {half[0].line}: the pair's second line is missing")
    genuine = [pair.genuine for pair in listed]
    photos = [photo for pair in listed for photo in pair.photos]
    names = [photo.person for photo in photos]
    if [a == b for a, b in zip(names[::2], names[1::2], strict=True)] != genuine:
        names = _linked_names([photo.file or photo.person for photo in photos], genuine)
    return listed, names


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


def _read_bin(path: Path, size: tuple[int, int] | None) -> PairSet:
    """The photos and labels of a .bin; no object is ever made of it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pairs file")
    content = path.read_bytes()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            far = "PUT" in opcode.name and int(argument or 0) > len(content)
            if not _OPCODES.fullmatch(opcode.name) or far:
                raise ValueError(
                    f"it holds more than bytes, lists, tuples and booleans ({opcode.name})"
                )
        bins, labels = _Plain(io.BytesIO(content), encoding="bytes").load()
        if len(bins) != 2 * len(labels) or not labels or {type(one) for one in bins} != {bytes}:
            raise ValueError(f"want two photos for each label, got {len(bins)} and {len(labels)}")
        genuine = [bool(label) for label in labels]
    except Exception as error:  # damaged pickles fail anywhere
        raise ValueError(f"{path}: not insightface's photos and labels ({error})") from error
    names = _linked_names(bins, genuine)
    return PairSet(path.stem, names, partial(_decode_packed, bins, str(path), size))


def _decode_packed(bins: Sequence[bytes], name: str, size: tuple[int, int] | None, i: int) -> Image:
    return decode_image(bins[i], f"{name}, photo {i}", size)


class _Plain(pickle.Unpickler):
    """Finds no class and no function; what would ask for one is refused before, too."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"it asks for {module}.{name}")
