"""MinPlus and its parts against loops from their formulas."""

from __future__ import annotations

import pytest
import torch

from captum_fv.attr import MinPlusAttribution
from tests.support.nets import SIZE, random_pair, small_siamese

POINTS, SIGMA, STEPS = 4, 0.15, 3


@pytest.fixture
def siamese():
    return small_siamese().double()


@pytest.fixture
def pair():
    return tuple(image.double() for image in random_pair(2))


def windows():
    """Gaussians by their formula, as finely as masks of 255 steps hold them."""
    height, width = SIZE
    made = []
    for i in range(POINTS):
        for j in range(POINTS):
            window = torch.zeros(SIZE, dtype=torch.float64)
            for y in range(height):
                for x in range(width):
                    row = y - (i + 0.5) * height / POINTS + 0.5
                    column = x - (j + 0.5) * width / POINTS + 0.5
                    squared = torch.tensor(-(row**2 + column**2) / (2 * (SIGMA * height) ** 2))
                    window[y, x] = torch.exp(squared)
            made.append((window * 255).round() / 255)
    return made


WINDOWS = windows()


def weights(part, score, image):
    """H(c) of one image, score by score."""
    nothing, held = torch.zeros_like(image), [0.0] * len(WINDOWS)
    if part == "s0-":
        return [score(image) - score(image * (1 - g)) for g in WINDOWS]
    if part == "s0+":
        return [score(image * g) - score(nothing) for g in WINDOWS]
    if part == "s1-":
        for _ in range(STEPS):
            falls = [score(image) - score(image * (1 - g)) for g in WINDOWS]
            if max(falls) <= 0:
                break
            best = falls.index(max(falls))
            held[best] += falls[best]
            image = image * (1 - WINDOWS[best])
        return held
    mask = torch.zeros(SIZE, dtype=torch.float64)
    for _ in range(STEPS):
        before = score(image * mask)
        rises = [score(image * torch.maximum(mask, g)) - before for g in WINDOWS]
        if max(rises) <= 0:
            break
        best = rises.index(max(rises))
        held[best] += rises[best]
        mask = torch.maximum(mask, WINDOWS[best])
    return held


def naive(siamese, image, partner, parts, signed):
    def score(masked):
        return siamese(masked[None], partner[None]).item()

    maps = []
    for part in parts:
        spread = sum(h * g for h, g in zip(weights(part, score, image), WINDOWS, strict=True))
        if signed:
            maps.append(spread / spread.abs().max())
        else:
            maps.append((spread - spread.min()) / (spread.max() - spread.min()))
    return sum(maps) / len(maps)


OUTPUTS = {
    "s0-": ["s0-"],
    "s0+": ["s0+"],
    "s1-": ["s1-"],
    "s1+": ["s1+"],
    "avg": ["s0-", "s0+"],
    "minplus": ["s0-", "s0+", "s1-", "s1+"],
}


@pytest.mark.parametrize("signed", [False, True], ids=["positive", "signed"])
@pytest.mark.parametrize(("output", "parts"), OUTPUTS.items(), ids=OUTPUTS.keys())
def test_maps_are_those_of_the_formulas(siamese, pair, output, parts, signed):
    method = MinPlusAttribution(
        siamese, output, signed=signed, points=POINTS, sigma=SIGMA, steps=STEPS
    )
    maps = method.attribute(pair)
    for side in (0, 1):
        for k in (0, 1):
            expected = naive(siamese, pair[side][k], pair[1 - side][k], parts, signed)
            assert expected.abs().max() > 0.1
            torch.testing.assert_close(maps[side][k, 1], expected, atol=1e-9, rtol=1e-6)


def test_positive_maps_reach_from_0_to_1_and_signed_ones_keep_their_sign(siamese, pair):
    positive = MinPlusAttribution(siamese, "s0-", points=POINTS).attribute(pair)[0]
    assert torch.equal(positive.amin((1, 2, 3)), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(positive.amax((1, 2, 3)), torch.ones(2, dtype=torch.float64))
    signed = MinPlusAttribution(siamese, "s0-", signed=True, points=POINTS).attribute(pair)[0]
    assert torch.equal(signed.abs().amax((1, 2, 3)), torch.ones(2, dtype=torch.float64))
    assert signed.min() < 0 < signed.max()


@pytest.mark.parametrize("output", ["s0-", "s0+", "avg"])
def test_forwards_are_counted(siamese, pair, output, capsys):
    method = MinPlusAttribution(siamese, output, points=POINTS)
    method.attribute(pair, show_progress=True)
    count = 2 * (2 + 2 * {"s0-": 16, "s0+": 17, "avg": 33}[output])
    assert method.num_forwards(pair[0]) == count
    assert f"{count}/{count}" in capsys.readouterr().err


def test_a_published_map_of_a_pair_takes_thousands_of_forwards(siamese):
    img = torch.zeros(1, 3, 112, 112)
    assert MinPlusAttribution(siamese).num_forwards(img) == 2 + 2 * (256 + 257 + 5120 + 5121)


def test_greedy_parts_stop_when_nothing_changes(siamese, capsys):
    """Black on black is erased, and shown, without any change."""
    pair = (torch.zeros(1, 3, *SIZE, dtype=torch.float64), random_pair(1)[0].double())
    for output in ("s1-", "s1+", "minplus"):
        method = MinPlusAttribution(siamese, output, points=2, steps=9)
        map_a, _ = method.attribute(pair, explain="a", show_progress=True)
        assert not map_a.any()
    shown = {"s1-": 2 + 4, "s1+": 2 + 1 + 4}
    told = capsys.readouterr().err
    for looks in shown.values():
        assert f" {looks}/" in told


BAD = {
    "output": ({"output": "s2"}, "want one of"),
    "points": ({"points": 0}, "1 or more"),
    "steps": ({"steps": 1.5}, "whole number"),
    "sigma": ({"sigma": 0}, "0.001 to 1000"),
}


@pytest.mark.parametrize(("options", "says"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_is_said(siamese, options, says):
    with pytest.raises(ValueError, match=says):
        MinPlusAttribution(siamese, **options)
