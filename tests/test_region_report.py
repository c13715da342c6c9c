"""What regions add to a score, by loops; what hiding them does, by hand; and how it is said."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import captum_fv as fv
from captum_fv.attr import PairInteraction, Regions, face_regions, grid_regions, region_report
from captum_fv.attr.effects import drawn_masks, effect_vectors
from captum_fv.attr.region_rows import RegionRow
from captum_fv.attr.smoothing import smooth
from captum_fv.core.vectors import unit_length
from captum_fv.metrics.interactions import HiddenCells
from tests.support.nets import SIZE, random_pair, small_siamese
from tests.support.shared import SHARED, needs_shared

REGIONS = Regions(grid_regions(SIZE, (2, 2)).labels, ("one", "two", "three", "four"))
THRESHOLD = 0.3


@pytest.fixture(scope="module")
def siamese():
    return small_siamese()


@pytest.fixture(scope="module")
def cohort():
    generator = torch.Generator().manual_seed(3)
    return unit_length(torch.randn(30, 16, generator=generator))


@pytest.fixture(scope="module")
def report(siamese, cohort):
    return region_report(siamese, random_pair(1), THRESHOLD, REGIONS, cohort, masks=40)


@pytest.mark.parametrize("weights", ["adds_up", "banzhaf"])
def test_contributions_by_their_formula(siamese, weights):
    pair = random_pair(1)
    report = region_report(siamese, pair, THRESHOLD, REGIONS, masks=40, weights=weights)
    method = PairInteraction(siamese, regions=REGIONS, masks=40, weights=weights)
    (found,) = method.explain(pair)
    share = 0.5 if weights == "adds_up" else 0.9
    for g, row in enumerate(report.rows, start=1):
        phi = found.effects
        together = sum(phi[g, j] + phi[j, g] for j in range(1, 5))
        assert row.contribution == pytest.approx(phi[g, 0] + phi[0, g] + share * together)
        assert row.same_place == pytest.approx(phi[g, g])
    total = sum(row.contribution for row in report.rows) + found.base
    assert (abs(total - report.score) < 1e-6) == (weights == "adds_up")
    assert report.base == (pytest.approx(found.base) if weights == "adds_up" else None)
    assert report.score == pytest.approx(siamese(*pair).item(), abs=1e-6)


def test_intervals_are_of_masks_drawn_again(siamese, report):
    """Masks that count twice are masks that are there twice; and other masks agree with them."""
    masks = drawn_masks(4, 40, 0.9, seed=0)
    generator = torch.Generator().manual_seed(0)
    side = HiddenCells(masks, torch.rand(len(masks), 5, generator=generator))
    counts = torch.randint(0, 3, (40,), generator=generator)
    rows = [row for k, count in enumerate(counts.tolist(), start=2) for row in [k] * count]
    design = torch.cat([torch.ones(len(rows), 1), masks[rows].float()], 1).numpy()
    expected = np.linalg.lstsq(design, side.embeddings[rows].numpy(), rcond=None)[0]
    np.testing.assert_allclose(effect_vectors(side, "banzhaf", counts), expected, atol=1e-5)
    outside = 0
    for seed in range(1, 5):
        other = region_report(siamese, random_pair(1), THRESHOLD, REGIONS, masks=300, seed=seed)
        for row, again in zip(report.rows, other.rows, strict=True):
            assert row.interval[0] <= row.contribution <= row.interval[1]
            assert again.interval[1] - again.interval[0] < row.interval[1] - row.interval[0]
            outside += not row.interval[0] <= again.contribution <= row.interval[1]
    assert outside <= 4  # of 16, where 1 is expected were the intervals exact


def test_z_by_its_definition(siamese, report, cohort):
    pair = random_pair(1)
    method = PairInteraction(siamese, regions=REGIONS, masks=40)
    (sides,) = method.hidden_cells(pair)
    whole = [side.seen[0].numpy() for side in sides]
    for k, row in enumerate(report.rows, start=1):
        z = []
        for side, partner in zip(sides, whole[::-1], strict=True):
            effect = effect_vectors(side, "banzhaf")[k].numpy()
            strangers = [float(effect @ stranger) for stranger in cohort.double().numpy()]
            z.append((effect @ partner - np.mean(strangers)) / np.std(strangers, ddof=1))
        assert row.z == pytest.approx(np.mean(z))
    assert report.strangers == 30


def test_the_score_with_a_region_hidden_in_both_photos(siamese, report):
    pair = random_pair(1)
    for k, row in enumerate(report.rows):
        where = torch.from_numpy(REGIONS.labels == k)
        hidden = [torch.where(where, smooth(image, 8 / 112 * SIZE[0]), image) for image in pair]
        assert row.score_hidden == pytest.approx(siamese(*hidden).item(), abs=1e-5)
        assert row.flips == ((row.score_hidden >= THRESHOLD) != (report.score >= THRESHOLD))
        assert row.area == pytest.approx((REGIONS.labels == k).mean())
    assert sum(row.area for row in report.rows) == pytest.approx(1)


def test_swapping_the_photos_changes_nothing(siamese, report, cohort):
    img_a, img_b = random_pair(1)
    swapped = region_report(siamese, (img_b, img_a), THRESHOLD, REGIONS, cohort, masks=40)
    for row, other in zip(report.rows, swapped.rows, strict=True):
        assert row.contribution == pytest.approx(other.contribution, abs=1e-6)
        assert row.interval == pytest.approx(other.interval, abs=1e-6)
        assert row.z == pytest.approx(other.z, abs=1e-4)
        assert row.score_hidden == pytest.approx(other.score_hidden, abs=1e-6)


class SeesTheTop(nn.Module):
    """A net that never looks at the lower half."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, : images.shape[-2] // 2].flatten(1) - 0.5


def test_what_the_model_does_not_see_adds_nothing_and_stands_out_of_nothing():
    siamese = fv.SiameseCosine(SeesTheTop().eval())
    generator = torch.Generator().manual_seed(0)
    people = unit_length(torch.randn(20, 3 * 10 * 18, generator=generator))
    halves = Regions(grid_regions(SIZE, (2, 1)).labels, ("above", "below"))
    report = region_report(siamese, random_pair(1), THRESHOLD, halves, people, masks=60)
    above, below = report.rows
    assert abs(below.contribution) < 1e-5 < abs(above.contribution)
    assert below.z == 0
    assert below.score_hidden == pytest.approx(report.score, abs=1e-6)
    assert "+0.00 [+0.00, +0.00]" in below.sentence
    assert "no more than a stranger's would (z 0.0)" in below.sentence


@pytest.mark.parametrize(
    ("score", "hidden", "z", "says"),
    [
        (
            0.42,
            0.35,
            3.1,
            ["more than strangers' do (z 3.1)", "0.35 and not 0.42", "still a match"],
        ),
        (0.42, 0.12, 1.9, ["no more than a stranger's would (z 1.9)", "no longer a match"]),
        (0.12, 0.42, -2.5, ["less than strangers' do (z -2.5)", "now a match"]),
        (0.12, 0.10, None, ["on 6 % of the picture; with it hidden", "still no match"]),
    ],
)
def test_sentences_have_their_figures(score, hidden, z, says):
    flips = (score >= THRESHOLD) != (hidden >= THRESHOLD)
    row = RegionRow("nose", 0.0569, 0.114, (-0.001, 0.2), z, 0.01, hidden, flips)
    sentence = row.in_words(score, THRESHOLD).sentence
    assert sentence.startswith("Nose: adds +0.11 [+0.00, +0.20] to the cosine, on 6 % of")
    for words in says:
        assert words in sentence


def test_what_is_left_is_said_where_effects_add_up(siamese, report):
    pair, options = random_pair(1), {"masks": 40, "weights": "adds_up"}
    adding = region_report(siamese, pair, THRESHOLD, REGIONS, **options)
    assert f"{adding.base:.2f} is left with all hidden" in str(adding)
    assert "is left" not in str(report)


def test_the_table_and_the_file(report):
    lines = str(report).splitlines()
    assert len(lines) == 5
    assert "R2" in lines[0]
    for line, row in zip(lines[1:], report.rows, strict=True):
        assert line.startswith(row.name.capitalize())
        assert f"hiding it: {report.score:.2f} -> {row.score_hidden:.2f} (" in line
    assert report.sentences() == tuple(row.sentence for row in report.rows)
    told = json.loads(report.to_json())
    assert [region["name"] for region in told["regions"]] == list(REGIONS.names)
    assert told["regions"][1]["interval"] == list(report.rows[1].interval)
    assert told["score"] == report.score


def test_without_a_cohort_nothing_is_said_of_strangers(siamese):
    report = region_report(siamese, random_pair(1), THRESHOLD, REGIONS, masks=40)
    assert [row.z for row in report.rows] == [None] * 4
    assert "stranger" not in str(report) + "".join(report.sentences())
    assert json.loads(report.to_json())["regions"][0]["z"] is None


def test_regions_of_each_photo(siamese):
    """A turned head has its features elsewhere; its own label map says where."""
    other = Regions(np.roll(REGIONS.labels, 2, 1), REGIONS.names)
    report = region_report(siamese, random_pair(1), THRESHOLD, (REGIONS, other), masks=40)
    assert report.interactions.regions == (REGIONS, other)
    assert report.rows[0].area == pytest.approx(
        ((REGIONS.labels == 0).mean() + (other.labels == 0).mean()) / 2
    )


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"pair": random_pair(2)}, ValueError, "got 2 pairs; want one"),
        ({"pair": [[1], [2]]}, TypeError, "img_a: got list"),
        ({"threshold": "high"}, TypeError, "threshold: got 'high'"),
        ({"threshold": float("nan")}, ValueError, "threshold: got nan"),
        ({"regions": REGIONS.labels}, TypeError, r"want Regions\(labels, names\)"),
        ({"regions": face_regions()}, ValueError, "want one for each pixel"),
        ({"cohort": torch.rand(9, 3)}, ValueError, "for embeddings of 16"),
        ({"cohort": torch.rand(1, 16)}, ValueError, "2 strangers or more"),
        ({"cohort": torch.full((9, 16), torch.nan)}, ValueError, "NaN"),
        ({"masks": 5}, ValueError, "masks: got 5 for 4 regions"),
        (
            {"regions": (REGIONS, Regions(REGIONS.labels, "abcd"))},
            ValueError,
            "A has one, two, three, four and B has a, b, c, d; want the same names",
        ),
    ],
)
def test_bad_arguments_are_named(siamese, change, error, says):
    arguments = {"pair": random_pair(1), "threshold": THRESHOLD, "regions": REGIONS} | change
    with pytest.raises(error, match=says):
        region_report(siamese, **{"masks": 40} | arguments)


@pytest.mark.extended
@needs_shared
def test_a_real_pair_stands_out_of_strangers_and_impostors_do_not():
    model = fv.load_backbone(SHARED / "models" / "edgeface_xxs.pt2")
    siamese = fv.SiameseCosine(model, 0.5, 0.5)
    from captum_fv.data import lfw_pairs

    pairs = lfw_pairs(SHARED / "data/lfw_aligned_112", SHARED / "data/pairs_folds_1_4.txt")
    with torch.no_grad():
        cohort = siamese.embed_images(pairs.tensors(range(900, 960))[1])
    stands_out = []
    for k in (0, 300):  # genuine, impostor
        report = region_report(siamese, pairs.tensors([k]), 0.2259, cohort=cohort, masks=128)
        assert report.interactions.r2 > report.interactions.r2_additive
        stands_out.append(sum(abs(row.z) > 2 for row in report.rows))
        assert not re.search("nan|None", str(report))
    assert stands_out[0] > stands_out[1]
