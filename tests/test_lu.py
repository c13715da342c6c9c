"""Lu's deletion and insertion: naive loops, the trap of all pairs, and what fills the gaps."""

import numpy as np
import pytest
import torch

from captum_fv.attr import SimilarityArgumentGradient
from captum_fv.attr.alternative import Alternative
from captum_fv.benchmark.audit import MapAudit, audit_method
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.metrics import deletion_insertion, lu_deletion_insertion
from captum_fv.metrics.lu import LuFigures
from captum_fv.metrics.removal import ROAD_NOISE, impute
from tests.support.nets import SIZE, THRESHOLD, random_pair, small_siamese
from tests.support.ties import scattered
from tests.test_audit import COUNT as AUDITED
from tests.test_audit import GENUINE as AUDITED_GENUINE
from tests.test_audit import batch

COUNT = 6
GENUINE = np.arange(COUNT) % 3 > 0
PLACES = [(y, x) for y in range(SIZE[0]) for x in range(SIZE[1])]


def small_maps(count=COUNT):
    return torch.randn(count, 1, *SIZE, generator=torch.Generator().manual_seed(4))


def naive_areas(siamese, pair, maps, population, shown):
    """Areas under accuracy in per cent; `shown(k, removed)` is image A without these places."""
    areas = []
    for keep in (False, True):
        right = np.zeros(11)
        wanted = {"genuine": GENUINE, "impostor": ~GENUINE, "all": np.full(COUNT, True)}
        chosen = np.flatnonzero(wanted[population])
        for k in chosen:
            places = scattered(PLACES)
            sign = 1 if population == "impostor" else -1
            places.sort(key=lambda place, k=k, sign=sign: sign * float(maps[k, 0][place]))
            for t in range(11):
                named = np.zeros(SIZE, dtype=bool)
                for place in places[: round(len(places) * t / 10)]:
                    named[place] = True
                image = shown(k, ~named if keep else named)
                match = float(siamese(image[None], pair[1][k : k + 1]).detach()) >= THRESHOLD
                right[t] += match == GENUINE[k]
        right /= len(chosen)
        areas.append(100 * sum((right[t] + right[t + 1]) / 2 / 10 for t in range(10)))
    return areas


@pytest.mark.parametrize("population", ["genuine", "impostor", "all"])
@pytest.mark.parametrize("fill", ["black", "images", "road"])
def test_equals_the_naive_loop(population, fill):
    siamese, pair, maps = small_siamese(), random_pair(COUNT), small_maps()
    others = random_pair(COUNT, seed=8)[0]

    def shown(k, removed):
        if fill == "road":
            guessed = impute(pair[0][k].double().numpy(), removed)
            return torch.from_numpy(guessed).float()
        end = others[k] if fill == "images" else torch.zeros_like(pair[0][k])
        return torch.where(torch.from_numpy(removed), end, pair[0][k])

    given = others if fill == "images" else fill
    found = lu_deletion_insertion(siamese, pair, maps, THRESHOLD, GENUINE, population, fill=given)
    expected = naive_areas(siamese, pair, maps, population, shown)
    assert [figure.value for figure in found] == pytest.approx(expected, abs=1e-9)
    for figure in found:
        assert figure.low <= figure.value <= figure.high


def test_over_all_pairs_a_black_probe_is_half_right():
    """The trap: it matches nobody, so every impostor pair is right and no genuine one."""
    faces = torch.rand(8, 3, *SIZE, generator=torch.Generator().manual_seed(0)) + 0.2
    pair, maps = (faces, faces.flip(0)), small_maps(8)
    genuine = [True, False] * 4

    def bright(img_a, img_b):
        return img_a.mean((1, 2, 3))

    for population, end in (("genuine", 0.0), ("impostor", 1.0), ("all", 0.5)):
        run = deletion_insertion(bright, pair, maps, 0.1, genuine, population, 10, fill=0.0)
        assert run.means("deletion", "accuracy")[-1] == end
        assert run.means("insertion", "accuracy")[0] == end


def test_a_guess_solves_the_equations_of_what_is_gone():
    image = random_pair(1)[0][0].double().numpy()
    removed = np.random.default_rng(3).random(SIZE) < 0.6
    number = {place: i for i, place in enumerate(p for p in PLACES if removed[p])}
    system, known = np.zeros((len(number), len(number))), np.zeros((len(number), 3))
    for (y, x), i in number.items():
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                place = (y + down, x + right)
                if (down, right) == (0, 0) or place not in set(PLACES):
                    continue
                weight = 1 / 12 if down and right else 1 / 6
                system[i, i] += weight
                if place in number:
                    system[i, number[place]] -= weight
                else:
                    known[i] += weight * image[:, place[0], place[1]]
    solved = np.linalg.solve(system, known)
    noise = np.random.default_rng(0).normal(0, ROAD_NOISE, (3, *SIZE))
    found = impute(image, removed)
    for (y, x), i in number.items():
        expected = solved[i] + noise[:, y, x]
        expected = expected.clip(image.min((1, 2)), image.max((1, 2)))
        np.testing.assert_allclose(found[:, y, x], expected, atol=1e-12)
    np.testing.assert_array_equal(found[:, ~removed], image[:, ~removed])
    np.testing.assert_array_equal(impute(image, removed & False), image)
    emptied = impute(image, removed | True)
    assert np.abs(emptied.mean((1, 2)) - image.mean((1, 2))).max() < ROAD_NOISE / 5


@pytest.fixture(scope="module")
def audited():
    fills = ("black", "road", "alternative")
    settings = BenchmarkSettings(batch_size=5, sanity_pairs=1, lu_fills=fills)
    table = audit_method(SimilarityArgumentGradient, small_siamese(), batch(), THRESHOLD, settings)
    return MapAudit.from_table(table, AUDITED_GENUINE, THRESHOLD)


@pytest.mark.parametrize("fill", ["black", "alternative"])
def test_a_run_has_the_same_figures(audited, fill):
    pairs, siamese = batch(), small_siamese()
    pair = pairs.original_a, pairs.img_b
    maps, _ = SimilarityArgumentGradient(siamese, THRESHOLD).attribute(*pair)
    shown = fill
    if fill == "alternative":
        shown = Alternative().images(*pair, siamese(*pair).detach() >= THRESHOLD)
    for population, run in audited.lu[fill].items():
        expected = lu_deletion_insertion(
            siamese, pair, maps, THRESHOLD, AUDITED_GENUINE, population, fill=shown
        )
        np.testing.assert_allclose(LuFigures.of(run), expected, atol=1e-9)
    assert audited.lu[fill].keys() == {"genuine", "impostor", "all"}
    assert audited.lu[fill]["all"].deletion.shape[1] == AUDITED


def test_what_no_curve_can_be_made_of_is_said():
    siamese, pair, maps = small_siamese(), random_pair(COUNT), small_maps()
    for fault, options in {
        "fill: got 'white'": {"fill": "white"},
        "fill: got shape": {"fill": pair[0][:, :, 1:]},
        "population: got 'both'": {"population": "both"},
        "of: got 'error'": {},
    }.items():
        arguments = {"population": "all"} | options
        with pytest.raises(ValueError, match=fault):
            deletion_insertion(siamese, pair, maps, THRESHOLD, GENUINE, **arguments).auc(
                "deletion", "error"
            )
    with pytest.raises(ValueError, match="lu_fills"):
        BenchmarkSettings(lu_fills=["white"])
