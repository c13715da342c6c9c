"""The swap game: naive loops, games whose end is known, twins, runs that go on, and the command."""

import numpy as np
import pytest
import torch
from torch import nn

from captum_fv.attr import (
    CentrePrior,
    PixelDifference,
    RandomPairBaseline,
    SimilarityArgumentGradient,
)
from captum_fv.attr.controls import PatchOracle
from captum_fv.benchmark import play_swap_game
from captum_fv.cli import main
from captum_fv.data import PairSet, generated_swaps, to_tensor, transplant, transplanted_swaps
from captum_fv.data.generated.swaps import PARTS
from captum_fv.data.swaps import FEATHER, MOST_CONTRAST, SwappedFace, SwappedFaces
from captum_fv.metrics import SwapGameResult, can_be_told, swap_game
from captum_fv.metrics.swap import mass_steps
from captum_fv.siamese import SiameseCosine
from tests.support.nets import SIZE, random_pair, small_siamese
from tests.support.ties import scattered

STEPS, COUNT = 8, 4
PLACES = [(y, x) for y in range(SIZE[0]) for x in range(SIZE[1])]


def naive_order(values):
    """Places from the highest value down, as long as they are positive."""
    places = sorted(scattered(PLACES), key=lambda place: -values[place])
    return [place for place in places if values[place] > 0]


def naive_game(siamese, probe, twin, towards, values, mask):
    """One triplet: whether it passes as the twin, and the share of false alarms, at each step."""
    order = naive_order(values)
    total = sum(float(values[place]) for place in order)
    passes, alarms = [], []
    for t in range(STEPS + 1):
        image, wrong, held = probe.clone(), 0, 0.0
        for y, x in order:
            if not held < total * t / STEPS:
                break
            held += float(values[y, x])
            image[:, y, x] = twin[:, y, x]
            wrong += not mask[y, x]
        margin = float(siamese.embed_images(image[None]).detach()[0] @ towards)
        passes.append(margin > 0)
        alarms.append(wrong / (~mask).sum())
    return passes, alarms


@pytest.fixture
def triplets():
    """Probes and their twins, which differ in a rectangle; some maps."""
    probe, noise = random_pair(COUNT)
    masks = np.zeros((COUNT, 3, *SIZE), dtype=bool)
    masks[:, 0, 3:9, 2:12], masks[:, 1, 10:, :], masks[:, 2, :2, :5] = True, True, True
    twin = torch.where(torch.from_numpy(masks[:, :1]), noise, probe)
    maps = torch.randn(COUNT, 1, *SIZE, generator=torch.Generator().manual_seed(4))
    towards = torch.randn(COUNT, 16, generator=torch.Generator().manual_seed(5))
    return probe, twin, towards, maps.round(decimals=1), masks


def test_equals_the_naive_game(triplets):
    probe, twin, towards, maps, masks = triplets
    siamese = small_siamese()
    found = swap_game(siamese, probe, twin, towards, maps, ["a"] * COUNT, masks, steps=STEPS)
    for k in range(COUNT):
        passes, alarms = naive_game(
            siamese, probe[k], twin[k], towards[k], maps[k, 0].double(), masks[k, 0]
        )
        assert found.as_twin[:, k].tolist() == passes
        np.testing.assert_allclose(found.false_alarms[:, k], alarms)
        inside, outside = maps[k, 0][masks[k, 0]], maps[k, 0][~masks[k, 0]]
        wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
        assert found.auroc[k] == pytest.approx(float(wins.mean()))
        means = [float(maps[k, 0][mask].mean()) for mask in masks[k]]
        assert found.first[k] == (means[0] == max(means))
    assert 0 < found.as_twin.mean() < 1
    np.testing.assert_array_equal(found.chance, 1 / 3)


def bright_siamese():
    """A model of two numbers: how bright the left half is, and how bright the right."""
    halves = nn.Sequential(nn.AdaptiveAvgPool2d((1, 2)), nn.Flatten())
    return SiameseCosine(halves.eval())


def test_a_map_of_what_changed_wins_without_a_false_alarm_and_others_lose():
    """The probe is bright on the left, its twin on the right of one row; pixels can be counted."""
    probe, twin = torch.zeros(2, 1, 1, 4, 10)
    probe[..., 0, :5], twin[..., 0, 5:] = 1, 1
    masks = np.zeros((1, 2, 4, 10), dtype=bool)
    masks[0, 0, 0], masks[0, 1, 3] = True, True
    towards = torch.tensor([[-1.0, 1.0]])

    def play(values):
        return swap_game(bright_siamese(), probe, twin, towards, values, ["row"], masks, steps=10)

    right = play(torch.from_numpy(masks[:, :1]).double())
    assert (right.at(0.01).value, right.mean_auroc().value, right.recall().value) == (1, 1, 1)
    assert right.false_alarms.max() == 0
    wrong = play(1.0 - torch.from_numpy(masks[:, :1]).double())
    assert (wrong.at(0.05).value, wrong.mean_auroc().value, wrong.recall().value) == (0, 0, 0)
    assert wrong.false_alarms[-1, 0] == 1
    nothing = play(torch.zeros(1, 1, 4, 10))
    assert not nothing.as_twin.any()
    assert (nothing.mean_auroc().value, nothing.recall().value) == (0.5, nothing.chance_recall())
    # Half of the mass lies on the 30 pixels outside, which all go first: 15 of them by 25 %.
    late = torch.ones(1, 1, 4, 10)
    late[..., 0, :] = 0.5
    assert play(late).at(0.5).value == 0
    assert play(late).at(1.0).value == 1


def test_curves_are_read_between_steps_with_an_equal_weight_for_each_part():
    result = SwapGameResult(
        as_twin=np.array([[0, 0, 0], [0, 1, 0], [1, 1, 0]]) > 0,
        false_alarms=np.array([[0, 0, 0], [0.1, 0, 0.5], [0.3, 0.2, 0.5]]),
        auroc=np.array([1.0, 0.5, 0.75]),
        first=np.array([1.0, 0.0, 0.0]),
        chance=np.array([0.5, 0.5, 0.25]),
        parts=np.array(["nose", "eyes", "eyes"]),
        faces=np.array([0, 0, 1]),
    )
    # nose: half way from 0.1 to 0.3; eyes: one has passed at once, one never does.
    assert result.curve(np.array([0.2]))[0] == pytest.approx(0.5 * 0.5 + 0.25 * 1 + 0.25 * 0)
    np.testing.assert_allclose(result.weights, [0.5, 0.25, 0.25])
    assert result.mean_auroc().value == pytest.approx((1 + 0.625) / 2)
    assert result.recall().value == 0.5
    assert result.chance_recall() == pytest.approx(0.4375)
    interval = result.at(0.2)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_a_share_of_the_mass_is_the_fewest_pixels_that_hold_it():
    values = torch.tensor([[[5.0, 3.0, 0.0], [1.0, 1.0, -2.0]]])
    # 5 of 10 is reached at step 1 of 2; of four steps the first wants 2.5, which 5 covers, too.
    assert mass_steps(values, 2)[0, 0].tolist() == [1, 2, 0]
    assert mass_steps(values, 4)[0, 0].tolist() == [1, 3, 0]
    assert sorted(mass_steps(values, 10)[0, 1].tolist()) == [0, 9, 10]
    assert mass_steps(-values.abs(), 4).sum() == 0


def test_only_what_the_model_tells_apart_is_played():
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    assert can_be_told(one, other, one, other, 0.9).tolist() == [True]
    assert can_be_told(one, other, one, other, 1.1).tolist() == [False]  # not known again
    assert can_be_told(one, one, one, one, 0.9).tolist() == [False]  # no nearer to its own
    assert can_be_told(one, other, one, other, 0.5, no_match=True).tolist() == [
        False
    ]  # 0.6 matches
    assert can_be_told(one, other, one, other, 0.7, no_match=True).tolist() == [True]


def test_twins_are_the_same_but_for_one_part():
    faces = generated_swaps(2, seed=3)
    face = faces.load(1)
    assert list(face.twins) == list(face.mate_twins) == list(PARTS)
    rows = {part: np.argwhere(mask)[:, 0] for part, mask in face.masks.items()}
    assert rows["nose"].mean() > rows["eyebrows"].mean()
    assert rows["mouth"].mean() > rows["nose"].mean()
    for part, mask in face.masks.items():
        same = np.abs(face.probe[~mask].astype(int) - face.twins[part][~mask])
        assert same.max() <= 2, part
    again = generated_swaps(2, seed=3).load(1)
    np.testing.assert_array_equal(again.twins["hair"], face.twins["hair"])
    assert (generated_swaps(2, seed=4).load(1).probe != face.probe).any()


def test_a_transplant_stays_in_its_region_and_takes_the_colours():
    rng = np.random.default_rng(0)
    image = rng.integers(100, 140, (40, 40, 3)).astype(np.uint8)
    donor = rng.integers(10, 250, (40, 40, 3)).astype(np.uint8)
    region = np.zeros((40, 40), dtype=bool)
    region[10:30, 5:35] = True
    mixed = transplant(image, donor, region)
    np.testing.assert_array_equal(mixed[~region], image[~region])
    deep = np.zeros_like(region)
    deep[10 + FEATHER : 30 - FEATHER, 5 + FEATHER : 35 - FEATHER] = True
    for c in range(3):
        own, theirs = image[region][:, c].astype(float), donor[region][:, c].astype(float)
        scale = max((own.std() + 1) / (theirs.std() + 1), 1 / MOST_CONTRAST)
        expected = (donor[..., c] - theirs.mean()) * scale + own.mean()
        np.testing.assert_allclose(mixed[deep][:, c], expected[deep], atol=0.51)
    edge = np.abs(mixed[10, 5:35].astype(int) - image[10, 5:35]).mean()
    assert 0 < edge < np.abs(mixed[20, 10:30].astype(int) - image[20, 10:30]).mean()
    with pytest.raises(ValueError, match="0 pixels"):
        transplant(image, donor, region & False)


def photos(people):
    return PairSet(
        "noise",
        people,
        lambda i: np.random.default_rng(i).integers(0, 255, (*SIZE, 3)).astype(np.uint8),
    )


def test_photos_take_regions_of_strangers():
    region = {"top": np.arange(SIZE[0])[:, None] + np.zeros(SIZE[1]) < 8}
    faces = transplanted_swaps(photos(["a", "a", "b", "c", "d", "d"]), region, 9)
    assert (len(faces), faces.parts) == (2, ("top",))
    face = faces.load(1)
    np.testing.assert_array_equal(face.probe, photos(["a"] * 6).load(4))
    assert face.masks["top"][:8].mean() > 0.8
    assert not face.masks["top"][8:].any()
    for people in (["a", "b"], ["a", "a"]):
        with pytest.raises(ValueError, match="want a genuine pair, and a stranger"):
            transplanted_swaps(photos(people), region)


def small_faces(count=5):
    """Faces of noise, with twins that have other noise in one of two places."""

    def load(k):
        probe, mate, stranger = (photos(["a"] * 2).load(3 * k + j) for j in range(3))
        mate = (0.8 * probe + 0.2 * mate).astype(np.uint8)
        places = {"top": slice(0, 9), "bottom": slice(9, 20)}
        sides = []
        for photo in (probe, mate):
            twins = {part: photo.copy() for part in places}
            for part, rows in places.items():
                twins[part][rows] = stranger[rows]
            sides.append(twins)
        return SwappedFace(probe, mate, *sides)

    return SwappedFaces("noise", ("top", "bottom"), count, load)


METHODS = {
    "xssab": SimilarityArgumentGradient,
    "rnd": lambda siamese, threshold: RandomPairBaseline(siamese),
    "oracle": PatchOracle,
    "centre": CentrePrior,
    "difference": lambda siamese, threshold: PixelDifference(siamese),
}


def test_a_run_asks_each_method_for_the_mate_less_the_twin(tmp_path):
    siamese, faces = small_siamese(), small_faces()
    run = play_swap_game(siamese, faces, METHODS, 0.2, tmp_path / "run")
    assert list(run.methods) == ["xssab", "rnd", "centre", "difference"]
    first = run.methods["xssab"]
    assert run.played == {part: int((first.parts == part).sum()) for part in run.played}
    k, part = int(first.faces[0]), str(first.parts[0])
    face = faces.load(k)
    probe, mate, mate_twin = (
        to_tensor([image]) for image in (face.probe, face.mate, face.mate_twins[part])
    )
    method = SimilarityArgumentGradient(siamese, 0.2)
    values = method.attribute(probe, mate)[0] - method.attribute(probe, mate_twin)[0]
    own, theirs = siamese.embed_images(torch.cat([mate, mate_twin])).detach()
    masks = np.stack([face.masks[part], *(m for name, m in face.masks.items() if name != part)])
    expected = swap_game(
        siamese,
        probe,
        to_tensor([face.twins[part]]),
        (theirs - own)[None],
        values,
        [part],
        masks[None],
    )
    np.testing.assert_array_equal(first.as_twin[:, 0], expected.as_twin[:, 0])
    np.testing.assert_allclose(first.auroc[0], expected.auroc[0], atol=1e-6)
    assert run.methods["centre"].recall().value == run.methods["centre"].chance_recall()
    assert run.methods["difference"].mean_auroc().value > 0.9  # the photos differ in nothing else


def test_a_run_goes_on_where_it_stopped(tmp_path):
    siamese, whole = small_siamese(), small_faces()
    expected = play_swap_game(siamese, whole, METHODS, 0.2, tmp_path / "whole")

    asked = []

    def load(k):
        asked.append(k)
        if k == 4 and len(asked) > 20:
            raise KeyboardInterrupt
        return whole.load(k)

    def once(k):
        asked.append(k)
        if asked.count(4) > 1:  # once for the run's settings
            raise KeyboardInterrupt
        return whole.load(k)

    faces = SwappedFaces(whole.name, whole.parts, whole.count, once)
    with pytest.raises(KeyboardInterrupt):
        play_swap_game(siamese, faces, METHODS, 0.2, tmp_path / "run")
    asked.clear()
    faces = SwappedFaces(whole.name, whole.parts, whole.count, load)
    found = play_swap_game(siamese, faces, METHODS, 0.2, tmp_path / "run")
    assert set(asked) <= {0, 4}
    for name, result in expected.methods.items():
        np.testing.assert_array_equal(found.methods[name].as_twin, result.as_twin)
    with pytest.raises(ValueError, match="another"):
        play_swap_game(siamese, whole, METHODS, 0.25, tmp_path / "run")


def test_what_cannot_be_played_is_said(tmp_path, triplets):
    probe, twin, towards, maps, masks = triplets
    game = [small_siamese(), probe, twin, towards, maps, ["a"] * COUNT, masks]
    for place, wrong in ((6, masks[:2]), (6, masks * 1.0), (5, ["a"]), (3, towards[:1])):
        with pytest.raises(ValueError, match=r"want bool \(N, K, H, W\)"):
            swap_game(*game[:place], wrong, *game[place + 1 :])
    for place, wrong, error, says in (
        (0, small_siamese().backbone, TypeError, "want a SiameseCosine"),
        (3, towards.numpy(), TypeError, "towards: got ndarray"),
        (3, towards * torch.nan, ValueError, "towards: holds values that are NaN"),
        (3, towards[:, :2], ValueError, r"want a direction \(N, d\)"),
    ):
        with pytest.raises(error, match=says):
            swap_game(*game[:place], wrong, *game[place + 1 :])
    for model, threshold, error, says in (
        (small_siamese().backbone, 0.2, TypeError, "want a SiameseCosine"),
        (small_siamese(), float("nan"), ValueError, "threshold: got nan"),
    ):
        with pytest.raises(error, match=says):
            play_swap_game(model, small_faces(2), METHODS, threshold, tmp_path / "run")
    with pytest.raises(ValueError, match="oracle cannot play"):
        play_swap_game(small_siamese(), small_faces(2), ["oracle"], 0.2, tmp_path / "run")
    with pytest.raises(ValueError, match="plays no triplet of 2 faces"):
        play_swap_game(small_siamese(), small_faces(2), METHODS, 1.0, tmp_path / "run")


def test_the_command_leaves_a_table_and_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = [
        "--faces",
        "2",
        "--limit",
        "8",
        "--methods",
        "gradcam,rnd,centre",
        "--threshold",
        "0.3",
    ]
    assert main(["swap-game", *options, "--out", "run"]) == 0
    out = capsys.readouterr().out
    assert "Of 2 faces the model could play" in out
    assert {"table.md", "table.csv", "curves.png", "twins.png"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
