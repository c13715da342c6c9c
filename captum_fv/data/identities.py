"""Photos of people, several of each: what a model is trained on, and pairs of nobody's faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from captum_fv.core.arrays import Image, IntArray
from captum_fv.core.checks import check_counts, check_seed, is_count
from captum_fv.data.generated.photos import PAIR_REACH, UNSEEN_PEOPLE, photograph
from captum_fv.data.images import IMAGE_SUFFIXES, read_image
from captum_fv.data.pairs import PairSet, load_chosen


@dataclass(frozen=True)
class IdentitySet:
    """Photos with the name of whoever is in each; photos are loaded only when asked for.

    Args:
        name: What reports call the set.
        people: Who is in each photo, (M,).
        load: Photo number in [0, M) -> (H, W, 3) uint8 RGB. It can be pickled, for other processes.
    """

    name: str
    people: Sequence[str]
    load: Callable[[int], Image]

    def __len__(self) -> int:
        return len(self.people)

    @property
    def labels(self) -> IntArray:
        """People by number, (M,), in the order of their names."""
        return np.unique(np.asarray(self.people), return_inverse=True)[1].astype(np.int64)

    def split(self, held_out: int, seed: int = 0) -> tuple[IdentitySet, IdentitySet]:
        """The photos of all people but some, and those of the others, who are drawn by chance.

        Raises:
            ValueError: So many held out that fewer than two people stay.
        """
        names = sorted(set(self.people))
        if not 0 < held_out <= len(names) - 2:
            raise ValueError(
                f"held out: got {held_out} of {len(names)} people; want at least 1, and 2 to stay"
            )
        others = set(np.random.default_rng(seed).choice(names, held_out, replace=False).tolist())
        stay = [i for i, person in enumerate(self.people) if person not in others]
        go = [i for i, person in enumerate(self.people) if person in others]
        return self._subset(self.name, stay), self._subset(f"held out of {self.name}", go)

    def pairs(self, count: int, seed: int = 0) -> PairSet:
        """Random pairs of these photos: first the genuine, half of them, then the impostors.

        Raises:
            ValueError: Nobody has two photos, or there is only one person.
        """
        labels = self.labels
        photos = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
        several = [of_one for of_one in photos if len(of_one) > 1]
        if not several or len(photos) < 2:
            raise ValueError(
                f"{self.name}: got {len(self)} photos of {len(photos)} people; pairs want two "
                "people, and one with two photos"
            )
        rng = np.random.default_rng(seed)
        chosen: list[int] = []
        for _ in range(count // 2):
            chosen += rng.choice(several[rng.integers(len(several))], 2, replace=False).tolist()
        for _ in range(count - count // 2):
            two = rng.choice(len(photos), 2, replace=False)
            chosen += [int(rng.choice(photos[person])) for person in two]
        return PairSet(
            self.name, [self.people[i] for i in chosen], partial(load_chosen, self.load, chosen)
        )

    def _subset(self, name: str, indices: Sequence[int]) -> IdentitySet:
        people = [self.people[i] for i in indices]
        return IdentitySet(name, people, partial(load_chosen, self.load, indices))


def generated_identities(
    people: int, photos: int, first: int = 0, reach: float = PAIR_REACH
) -> IdentitySet:
    """Generated people to train on, whom no `generated_pairs` shows.

    Args:
        people: How many.
        photos: Of each.
        first: Seed of the first; the demo backbone was trained on the people 0 to 999.
        reach: How hard the photos are; the default is that of `generated_pairs`.

    Raises:
        ValueError: None of them, or seeds that `generated_pairs` uses.

    >>> generated_identities(people=2, photos=2).people
    ['person-0', 'person-0', 'person-1', 'person-1']
    """
    if not (is_count(people) and is_count(photos)) or first < 0 or first + people > UNSEEN_PEOPLE:
        raise ValueError(
            f"got {people} people with {photos} photos from seed {first}; want at least one of "
            f"each, and seeds from 0 to below {UNSEEN_PEOPLE}"
        )
    names = [f"person-{first + k // photos}" for k in range(people * photos)]
    return IdentitySet("generated", names, partial(_photograph, photos, first, reach))


def generated_pairs(count: int = 1000, seed: int = 0) -> PairSet:
    """Pairs of people on whom the demo backbone was not trained: first the genuine, then the rest.

    The photos are harder than those of the training, so that verification errs as it does on real
    ones.

    Args:
        count: Number of pairs; half of them (rounded down) are genuine.
        seed: Draws who meets whom; image i of a seed is always the same picture.

    Returns:
        Pairs of (112, 112, 3) uint8 images, rendered when asked for.

    Raises:
        ValueError: Fewer than two pairs, which cannot hold both kinds.

    >>> generated_pairs(4).genuine.tolist()
    [True, True, False, False]
    """
    check_counts(count=count)
    check_seed(seed)
    if count < 2:
        raise ValueError(f"count: got {count}; want at least 2, one genuine pair and one impostor")
    rng = np.random.default_rng(seed)
    pool = UNSEEN_PEOPLE + np.arange(count)
    genuine = np.repeat(rng.choice(pool, count // 2), 2)
    impostor = [rng.choice(pool, 2, replace=False) for _ in range(count - count // 2)]
    people = np.concatenate([genuine, *impostor]).tolist()

    return PairSet(
        "generated",
        [f"person-{person}" for person in people],
        partial(_photograph_of, people, seed),
    )


def folder_identities(folder: str | Path, size: tuple[int, int] | None = None) -> IdentitySet:
    """A folder of aligned photos, one folder per person: `NAME/*.jpg` (or png, bmp, webp).

    Args:
        folder: Where the people are.
        size: (H, W) every photo must have; None takes any.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no folder with photos.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; want one with NAME/*.jpg in it")
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: no photos; want a folder for each person, NAME/*.jpg")
    people = [path.parent.name for path in paths]
    read = partial(read_image, size=size)
    return IdentitySet(folder.name, people, partial(load_chosen, read, paths))


def _photograph(photos: int, first: int, reach: float, i: int) -> Image:
    return photograph(first + i // photos, i % photos, reach)


def _photograph_of(people: Sequence[int], seed: int, image: int) -> Image:
    # The seed and the image number together are a photo number that no other image has.
    return np.array(_kept_photograph(people[image], seed << 32 | image))


@lru_cache(maxsize=600)  # of 300 pairs: a run asks for each photo several times, 22 MB in all
def _kept_photograph(person: int, photo: int) -> Image:
    return photograph(person, photo, PAIR_REACH)
