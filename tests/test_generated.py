from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from captum_fv.data import generated_pairs
from captum_fv.data.generated import (
    UNSEEN_PEOPLE,
    Identity,
    Nuisance,
    photograph,
    render_face,
    sample_identity,
    sample_nuisance,
)

NEUTRAL = Nuisance(**dict.fromkeys(Nuisance.__dataclass_fields__, 0))
# Everything that a person can have, so that every number has something to change.
MIDDLING = Identity(**dict.fromkeys(Identity.__dataclass_fields__, 0.5) | {"texture": 1})
FULL = replace(MIDDLING, freckles=0.8, fringe=0.8, hair_length=0.3, lip_colour=0.6)


def largest_change(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("name", Identity.__dataclass_fields__)
def test_every_identity_number_changes_the_picture(name: str) -> None:
    changed = replace(FULL, **{name: 77 if name == "texture" else 0.95})
    assert largest_change(render_face(FULL, NEUTRAL), render_face(changed, NEUTRAL)) >= 9


@pytest.mark.parametrize("name", Nuisance.__dataclass_fields__)
def test_every_nuisance_changes_the_picture(name: str) -> None:
    changed = replace(NEUTRAL, **{name: 1})
    assert largest_change(render_face(FULL, NEUTRAL), render_face(FULL, changed)) >= 6


def test_a_picture_is_rgb_and_depends_on_nothing_but_its_numbers() -> None:
    first = photograph(5, 3)
    assert first.shape == (112, 112, 3)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    np.random.seed(0)
    assert np.array_equal(first, photograph(5, 3))
    assert largest_change(first, photograph(5, 4)) > 50
    assert largest_change(first, photograph(6, 3)) > 50


def test_samples_stay_in_their_ranges_and_fill_them() -> None:
    people = [sample_identity(seed) for seed in range(200)]
    for name in set(Identity.__dataclass_fields__) - {"texture"}:
        values = [getattr(person, name) for person in people]
        assert min(values) >= 0
        assert max(values) <= 1
        assert max(values) - min(values) > 0.9, name
    rng = np.random.default_rng(0)
    situations = [sample_nuisance(rng) for _ in range(200)]
    for name in set(Nuisance.__dataclass_fields__) - {"grain"}:
        values = [getattr(situation, name) for situation in situations]
        assert -1 <= min(values) < -0.9
        assert 0.9 < max(values) <= 1


@pytest.mark.parametrize(("x", "y"), [(38.3, 51.7), (73.5, 51.5)])
def test_pupils_lie_at_the_arcface_template(x: float, y: float) -> None:
    face = render_face(replace(MIDDLING, glasses=0.0), NEUTRAL).astype(float).sum(2)
    rows, columns = np.mgrid[47:57, round(x) - 6 : round(x) + 7]
    darkness = (face.max() - face[rows, columns]) ** 8
    centre = [(darkness * grid).sum() / darkness.sum() for grid in (columns, rows)]
    assert centre == pytest.approx([x, y], abs=1.5)


def test_the_mean_face_has_the_tone_of_a_portrait() -> None:
    faces = np.stack([photograph(person, 0) for person in range(40)]).mean(0)
    assert 70 < faces.mean() < 150
    cheek = faces[66:76, 30:40].mean((0, 1))
    assert cheek[0] > cheek[1] > cheek[2]  # skin


def test_pairs_are_half_genuine_of_unseen_people() -> None:
    pairs = generated_pairs(21, seed=4)
    assert len(pairs) == 21
    assert pairs.genuine.tolist() == [True] * 10 + [False] * 11
    assert all(int(name.removeprefix("person-")) >= UNSEEN_PEOPLE for name in pairs.people)


def test_an_image_number_is_always_the_same_picture_and_no_two_share_one() -> None:
    pairs = generated_pairs(6, seed=1)
    images = [pairs.load(i) for i in range(12)]
    again = generated_pairs(6, seed=1)
    for i in reversed(range(12)):
        assert np.array_equal(images[i], again.load(i))
    assert len({image.tobytes() for image in images}) == 12
    assert not np.array_equal(images[0], generated_pairs(6, seed=2).load(0))


def test_one_pair_cannot_hold_both_kinds() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        generated_pairs(1)
    with pytest.raises(ValueError, match="seed: got -1"):
        generated_pairs(4, seed=-1)
