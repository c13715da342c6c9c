"""Labelled Faces in the Wild (Huang et al. 2007), and any data set in its layout."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from captum_fv.core.arrays import Image
from captum_fv.data.images import IMAGE_SUFFIXES, read_image
from captum_fv.data.pairs import PairSet


class Photo(NamedTuple):
    """A photo that a list names: by a person and a number, or by its path in the folder."""

    person: str
    number: int
    line: int  # of the pairs file, for errors
    file: str = ""

    @property
    def called(self) -> str:
        """What a report calls it."""
        return PureWindowsPath(self.file).name or f"{self.person}_{self.number:04d}"


def lfw_pairs(
    images: str | Path,
    pairs: str | Path,
    size: tuple[int, int] | None = (112, 112),
    folds: Sequence[int] | None = None,
    check_images: bool = False,
) -> PairSet:
    """The pairs of an LFW-style list, in file order: each fold's genuine pairs, then its impostors.

    Labels need no image: photos are read only when asked for.

    Args:
        images: Folder with NAME/NAME_0001.jpg (or .png).
        pairs: The list. Its header is "folds<TAB>n", or "n" alone for one fold; each fold is n
            lines "name number number" and n lines "name number name number".
        size: (H, W) every photo must have; None takes any.
        folds: Which folds, counted from 1; None takes all.
        check_images: Look now that every photo exists (none is opened).

    Raises:
        FileNotFoundError: The list is missing, or (with `check_images`) a photo.
        ValueError: A line that does not fit the layout or the header, or a fold that is not there.
    """
    images, pairs = Path(images), Path(pairs)
    photos = read_lfw_list(pairs, folds)

    if check_images:
        check_there(images, pairs, photos)
    people = [photo.person for photo in photos]
    return PairSet(pairs.stem, people, partial(load_listed, images, pairs, photos, size))


def load_listed(
    images: Path, pairs: Path, photos: Sequence[Photo], size: tuple[int, int] | None, i: int
) -> Image:
    """Photo i of a list; errors name its line."""
    photo = photos[i]
    try:
        return read_image(photo_path(images, photo), size)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{error} (asked for by {pairs}, line {photo.line})") from error


def check_there(images: Path, pairs: Path, photos: Sequence[Photo]) -> None:
    """Raise a FileNotFoundError unless every photo of a list exists."""
    missing = [photo for photo in photos if not photo_path(images, photo).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{photo_path(images, missing[0])} (or .png): no such image file, asked for by "
            f"{pairs}, line {missing[0].line}; {len(missing)} of {len(photos)} images are missing"
        )


def photo_path(images: Path, photo: Photo) -> Path:
    """Where a photo is, with any usual ending and the number padded or not; else where it would be.

    NAME/NAME_0001.jpg is looked for first.
    """
    if photo.file:
        return images / photo.file
    folder = images / photo.person
    usual = folder / f"{photo.person}_{photo.number:04d}.jpg"
    if usual.is_file():
        return usual
    for number in (f"{photo.number:04d}", str(photo.number)):
        for suffix in IMAGE_SUFFIXES:
            for ending in (suffix, suffix.upper()):
                path = folder / f"{photo.person}_{number}{ending}"
                if path.is_file():
                    return path
    return usual


def read_lines(path: Path) -> list[str]:
    """The lines of a list in UTF-8, or UTF-16 with its mark.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is in another encoding.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pairs file")
    content = path.read_bytes()
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: want UTF-8, got the byte {content[error.start]:#04x}; save the "
            "list as UTF-8"
        ) from error
    return [line.rstrip("\r") for line in text.rstrip().split("\n")]


def read_lfw_list(path: Path, folds: Sequence[int] | None) -> list[Photo]:
    """The photos of the chosen folds of a list with its header, two for each pair."""
    lines = read_lines(path)
    header = lines[0].split()
    if len(header) not in (1, 2) or not all(_is_count(word) for word in header):
        raise ValueError(
            f"{path}, line 1: want a header 'folds<TAB>pairs of each kind per fold' "
            f"or one count, got {lines[0]!r}"
        )
    fold_count, per_fold = (1, int(header[0])) if len(header) == 1 else map(int, header)
    wanted = fold_count * 2 * per_fold
    if len(lines) - 1 != wanted:
        wrong = min(len(lines), wanted + 1) + 1  # the first line that is missing or too many
        raise ValueError(
            f"{path}, line {wrong}: the header promises {fold_count} x 2 x {per_fold} = {wanted} "
            f"pairs, the file has {len(lines) - 1}; captum_fv.data.read_pairs takes other counts"
        )
    known = range(1, fold_count + 1)
    chosen = known if folds is None else folds
    if not isinstance(chosen, Sequence) or not all(fold in known for fold in chosen):
        raise ValueError(f"folds: got {folds!r}; want a list of folds 1 to {fold_count} of {path}")
    photos: list[Photo] = []
    for k, line in enumerate(lines[1:]):
        photos += parse_pair(path, k + 2, line, genuine=k % (2 * per_fold) < per_fold)
    of_fold = 4 * per_fold  # two photos for each pair of both kinds
    return [p for fold in chosen for p in photos[(fold - 1) * of_fold : fold * of_fold]]


def parse_pair(path: Path, number: int, line: str, genuine: bool) -> tuple[Photo, Photo]:
    """The photos of a line "name number number", or of an impostor pair's with two names."""
    words = [word.strip() for word in line.split("\t")]
    if len(words) < 3:  # tabs let names have spaces
        words = line.replace(",", " ").split()
    kind, form = "an impostor", "name number name number"
    if genuine:
        kind, form = "a genuine", "name number number"
    if len(words) != len(form.split()):
        raise ValueError(
            f"{path}, line {number}: want {kind} pair here, {form!r}; "
            f"got {len(words)} columns: {line!r}"
        )
    name_a, count_a, name_b, count_b = [*words[:2], words[0], words[2]] if genuine else words
    wrong = [count for count in (count_a, count_b) if not _is_count(count)]
    if wrong:
        raise ValueError(
            f"{path}, line {number}: want an image number from 1, got {wrong[0]!r} in {line!r}"
        )
    for name in (name_a, name_b):
        check_name(name, f"{path}, line {number}")
    if not genuine and name_a == name_b:
        raise ValueError(f"{path}, line {number}: an impostor pair names {name_a} twice")
    return Photo(name_a, int(count_a), number), Photo(name_b, int(count_b), number)


def check_name(name: str, where: str) -> None:
    """Raise unless this names a folder within a folder, and nothing outside of it."""
    parts = PureWindowsPath(name).parts  # which knows both kinds of slashes, and drives
    if len(parts) != 1 or parts[0] in ("..", "/", "\\") or PureWindowsPath(name).drive:
        raise ValueError(f"{where}: want a person's name, a folder of the photos; got {name!r}")
    if not name.isprintable():
        raise ValueError(f"{where}: want a name that can be printed, got {name!r}")


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit() and int(word) > 0
