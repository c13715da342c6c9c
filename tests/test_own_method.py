"""benchmarks/iag/method.py on a few noise faces; its harder patches; and the trials it can name."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from captum_fv.attr import IntegratedArgumentGradient
from captum_fv.attr.smoothing import smooth
from captum_fv.data import patch_pairs
from tests.support.nets import THRESHOLD, random_pair, small_siamese
from tests.test_what_dpr_measures import small_faces

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from iag import method

    return method


@pytest.mark.extended
def test_every_part_says_what_it_must(script, monkeypatch, tmp_path, capsys):
    coarse = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 192, bias=False)).eval()
    nn.init.eye_(coarse[-1].weight)
    faces = small_faces(None)[1]
    monkeypatch.setattr(script, "load_backbone", lambda name: coarse)
    with_three_photos = replace(faces, people=faces.people[:48])  # genuine ones alone
    monkeypatch.setattr(script, "load_pairs", lambda arguments: (faces, with_three_photos))
    monkeypatch.setattr(script, "patch_pairs", partial(patch_pairs, count=9, patch=12))
    arguments = ["x", "--range", "8", "40", "--limit", "24", "--steps", "5", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    assert "24 of 48 pairs" in capsys.readouterr().out
    tables = {}
    for part in script.PARTS:
        lines = (tmp_path / f"{part}.md").read_text(encoding="utf-8").splitlines()
        header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        tables[part] = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
        assert (tmp_path / f"{part}.csv").is_file()
    methods = ["rnd", "centre", "xssab", "before_decision", "before_polarity"]
    methods += ["iag_decision", "iag_polarity", "iag_agreement", "sensitivity"]
    for part in set(tables) - {"bars"}:
        assert list(tables[part]) == methods
    costs = {name: row["forwards + 2 backwards"] for name, row in tables["cost"].items()}
    assert [costs[name] for name in methods] == ["0.0", "1.0", "5.0"] + 5 * ["10.0"] + ["3.0"]
    dpr = tables["dpr"]
    assert dpr["rnd"]["mean / RND"] == "1.00 [1.00, 1.00]"
    assert dpr["centre"]["FMR - centre"] == dpr["xssab"]["FNMR - xssab"] == "0.00 [0.00, 0.00]"
    bars = tables["bars"]
    assert bars["iag_decision / rnd at most 0.30"]["measured"] == dpr["iag_decision"]["mean / RND"]
    assert (
        bars["iag_polarity - before_polarity, FNMR, below 0"]["measured"]
        == (dpr["iag_polarity"]["FNMR - before"])
    )
    for row in bars.values():
        value, low, high = (float(part.strip("[],")) for part in row["measured"].split())
        assert low <= value <= high
        assert row["met"] in ("yes", "no")
    assert tables["corrected"]["centre"]["own / other pair's map"] == "1.00 [1.00, 1.00]"
    assert tables["localisation"]["rnd"]["AUROC"].startswith("0.")
    assert tables["sanity"]["centre"]["absolute"] == "1.000 [1.000, 1.000]"
    assert tables["deletion"]["rnd"]["genuine deletion (low is good)"].startswith("0.000")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [(["--methods", "controls"], "oracle"), (["--parts", "dpr,all"], "got all")],
)
def test_wrong_arguments_are_named(script, monkeypatch, capsys, arguments, fault):
    monkeypatch.setattr(sys, "argv", ["x", *arguments])
    with pytest.raises(SystemExit):
        script.main()
    assert fault in capsys.readouterr().err


def test_harder_patches_lie_where_they_say(script):
    from iag import stress

    faces = small_faces(None)[1]
    batch = patch_pairs(faces, count=2, patch=13).batch(range(6))
    soft = stress.feathered(batch)
    step = (soft.patched_a - batch.original_a).abs()
    full = (batch.patched_a - batch.original_a).abs()
    assert torch.equal(soft.mask, batch.mask)
    assert (step <= full + 1e-6).all()
    assert step.sum() > 0.2 * full.sum()
    assert (step * ~batch.mask).max() == 0

    ring = stress.outer_ring(batch)
    differs = (ring.patched_a != ring.original_a).any(1, keepdim=True)
    assert (differs & ~ring.mask).sum() == 0
    assert ring.mask.any()
    row, column = (int(share * 32) for share in stress.CENTRE)
    assert not ring.mask[..., row - 5 : row + 6, column - 5 : column + 6].any()
    kept = batch.mask & ring.mask
    assert torch.equal(ring.patched_a * kept, batch.patched_a * kept)

    rough = stress.inexact(batch)
    assert torch.equal(rough.mask, batch.mask)
    assert torch.equal(rough.patched_a * ~batch.mask, batch.original_a * ~batch.mask)
    off = (rough.patched_a - (0.92 * batch.patched_a.roll((2, 1), (2, 3)) + 8 / 255)) * batch.mask
    assert 0.5 * 3 / 255 < off[batch.mask.expand_as(off)].std() < 3.5 / 255

    block = stress.quarter_block(faces, batch)
    assert block.mask.sum((1, 2, 3)).tolist() == [16 * 16] * 6
    assert block.numbers.tolist() == batch.numbers.tolist()


def test_trials_are_maps_and_differ_where_they_should(script, monkeypatch):
    from iag import trials

    siamese, pair = small_siamese().double(), tuple(image.double() for image in random_pair())
    plain = IntegratedArgumentGradient(siamese, THRESHOLD).attribute(pair)
    for name, build in trials.TRIALS.items():
        maps = build(siamese, THRESHOLD).attribute(pair)
        assert all(torch.isfinite(m).all() and m.std() > 0 for m in maps), name
        if "fine" in name or "edgeless" in name:
            assert not torch.allclose(maps[0], plain[0])
    monkeypatch.setattr(trials.NoisyPath, "NOISE", 0.0)
    for build in (
        trials.NoisyPath,
        partial(trials.WeakPolarity, part=1.0),
        partial(trials.MovingPartner, moving=0.0),
    ):
        torch.testing.assert_close(build(siamese, THRESHOLD).attribute(pair), plain)


def test_sums_that_trials_promise(script):
    from iag import trials

    siamese, pair = small_siamese().double(), tuple(image.double() for image in random_pair())
    score = siamese(pair).detach()
    needed = trials.TRIALS["needed_polarity"](siamese, THRESHOLD)
    needed.steps = 128
    torch.testing.assert_close(
        needed.attribute(pair)[0].sum((1, 2, 3)), score - THRESHOLD, atol=1e-3, rtol=0
    )
    # The delta of the base class is measured from the widest blur, where this path begins too.
    scales = trials.ScalePath(
        siamese, THRESHOLD, "polarity", blur=trials.ScalePath.BLURS[0], alternative=0.0
    )
    maps, delta = scales.attribute(pair, return_convergence_delta=True)
    change = (maps[0].sum((1, 2, 3)) - delta[:, 0]).abs()
    assert delta[:, 0].abs().mean() < 0.5 * change.mean()
    # With both images on their way, both maps together are the change of the score.
    moving = trials.MovingPartner(
        siamese, THRESHOLD, "polarity", moving=1.0, alternative=0.0, steps=256, batch_size=512
    )
    starts = (smooth(image, moving.blur * image.shape[-2]) for image in pair)
    both = sum(maps.sum((1, 2, 3)) for maps in moving.attribute(pair))
    torch.testing.assert_close(both, score - siamese(*starts), atol=1e-3, rtol=0)
