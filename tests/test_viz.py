"""Pictures of maps and curves show the numbers they are given."""

import numpy as np
import pytest
import torch

from captum_fv.attr.smoothing import gaussian_blur, wants_blur
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xssab import SimilarityArgumentGradient
from captum_fv.report.pictures import CONSTANT, colour_limit, paint_maps, plot_dpr, plot_pair
from tests.support.bad_input import OTHER_IMAGES, clear_error
from tests.support.nets import random_pair, small_siamese
from tests.support.synthetic_run import synthetic_run


def test_colours_say_which_way_and_how_strongly():
    image = torch.full((3, 20, 18), 0.5)
    values = torch.zeros(1, 20, 18)
    values[0, :10], values[0, 10:, :9] = 2.0, -1.0
    (painted,) = paint_maps([image], [values], blur=False)
    colours = painted.reshape(-1, 3)[[0, -18, -1]].astype(int)  # +2, -1 and 0
    green, pink, white = colours
    assert green[1] - green[0] > 60 < green[1] - green[2]
    assert pink[0] - pink[1] > 60
    assert np.ptp(white) < 2
    assert painted.shape == (20, 18, 3)


def test_two_maps_share_one_scale():
    image = torch.full((3, 20, 18), 0.5)
    strong, weak = torch.ones(3, 20, 18), torch.full((3, 20, 18), 0.1)
    alone = paint_maps([image], [weak])[0]
    beside = paint_maps([image, image], [strong, weak])
    np.testing.assert_array_equal(beside[0], alone)
    assert (beside[1] != alone).any()


def test_maps_that_come_blurred_are_not_blurred_again():
    siamese = small_siamese()
    assert wants_blur(SimilarityArgumentGradient(siamese, 0.1))
    assert not wants_blur(OcclusionPairAttribution(siamese, patch_sizes=(3,)))
    img_a, img_b = random_pair(1)
    raw = torch.randn(2, 3, 20, 18, generator=torch.Generator().manual_seed(0))
    maps = {"raw": tuple(raw), "smooth": tuple(gaussian_blur(raw))}
    figure = plot_pair(img_a[0], img_b[0], maps, 0.5, 0.1, blur=["raw"])
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    np.testing.assert_array_equal(shown[2], shown[4])
    np.testing.assert_array_equal(shown[3], shown[5])


def test_curves_are_labelled_and_told_apart():
    result = synthetic_run(models=["net"]).models["net"].methods["fast"].dpr
    runs = {f"method-{i}": result for i in range(12)}
    figure = plot_dpr(runs, "twelve")
    for axis, curve in zip(figure.axes, (result.fmr, result.fnmr), strict=True):
        assert len(axis.lines) == 12
        np.testing.assert_allclose(axis.lines[5].get_ydata(), curve)
        assert len({(line.get_color(), line.get_linestyle()) for line in axis.lines}) == 12
    (legend,) = figure.legends
    label = f"method-3 ({result.fmr_auc:.2f}, {result.fnmr_auc:.2f})"
    assert label in [text.get_text() for text in legend.texts]


def test_a_method_keeps_its_colour_in_figures_of_other_methods():
    result = synthetic_run(models=["net"]).models["net"].methods["fast"].dpr
    every = ["one", "two", "three"]
    full = plot_dpr(dict.fromkeys(every, result), "", every).axes[0].lines
    part = plot_dpr(dict.fromkeys(["three", "new"], result), "", every).axes[0].lines
    assert part[0].get_color() == full[2].get_color() != full[0].get_color()
    assert part[1].get_color() not in {line.get_color() for line in full}


@pytest.mark.parametrize("spoil", OTHER_IMAGES.values(), ids=OTHER_IMAGES.keys())
def test_any_map_is_painted_or_named(spoil):
    photos = [image[0] for image in random_pair(1)]
    mapped = spoil(random_pair(1)[0] - 0.5)
    batch = isinstance(mapped, torch.Tensor) and not mapped.is_nested and mapped.ndim == 4
    mapped = mapped[0] if batch and len(mapped) else mapped
    painted, _ = clear_error(lambda: paint_maps(photos, [mapped, photos[1]]))
    assert painted is None or mapped.shape[1:] == photos[0].shape[1:]


def test_batches_of_one_are_painted_as_their_members():
    img_a, img_b = random_pair(1)
    maps = {"xssab": (img_a - 0.5, img_b - 0.5)}
    single = {"xssab": (img_a[0] - 0.5, img_b[0] - 0.5)}
    batched = plot_pair(img_a, img_b, maps, 0.5, 0.3)
    alone = plot_pair(img_a[0], img_b[0], single, 0.5, 0.3)
    for one, other in zip(batched.axes[:4], alone.axes[:4], strict=True):
        np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())
    with pytest.raises(ValueError, match="want one photo"):
        plot_pair(*random_pair(2), {}, 0.5, 0.3)


def test_pictures_of_what_is_no_pair_or_score():
    (img_a,), (img_b,) = random_pair(1)
    maps = img_a - 0.5, img_b - 0.5
    for wrong in ([maps], {"xssab": maps[:1]}, {"xssab": None}, {"xssab": random_pair(2)}):
        with pytest.raises((TypeError, ValueError), match="map"):
            plot_pair(img_a, img_b, wrong, 0.5, 0.3)
    with pytest.raises(ValueError, match="NaN"):
        plot_pair(img_a, img_b, {"xssab": (maps[0], maps[1] * torch.nan)}, 0.5, 0.3)
    with pytest.raises(ValueError, match="score: got nan"):
        plot_pair(img_a, img_b, {"xssab": maps}, float("nan"), 0.3)


def coloured(picture):
    """How many pixels are not grey."""
    return int((np.ptp(picture.astype(int), axis=2) > 40).sum())


def test_evidence_in_few_pixels_shows():
    """Six of 12,544 pixels are far above the 99.5 % quantile, which is zero."""
    image = torch.full((3, 112, 112), 0.5)
    values = torch.zeros(1, 112, 112)
    values[0, 50, 50:56] = 1e-5
    for noise in (0.0, 1e-14):
        dusted = values + noise * torch.randn(values.shape, generator=torch.Generator())
        (painted,) = paint_maps([image], [dusted], blur=False)
        assert coloured(painted) == 6
        assert coloured(painted[50:51, 50:56]) == 6


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_small_maps_look_like_large_ones(scale):
    photos = [image[0] for image in random_pair(1)]
    maps = [image[0] - 0.5 for image in random_pair(1, seed=2)]
    expected = paint_maps(photos, maps)
    for one, other in zip(paint_maps(photos, [scale * m for m in maps]), expected, strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_one_scale_for_several_pairs():
    photos = [image[0] for image in random_pair(1)]
    strong = [image[0] - 0.5 for image in random_pair(1, seed=2)]
    weak = [0.1 * mapped for mapped in strong]
    limit = colour_limit([*strong, *weak])
    together = paint_maps(photos * 2, strong + weak)
    apart = paint_maps(photos, strong, limit=limit) + paint_maps(photos, weak, limit=limit)
    np.testing.assert_array_equal(together, apart)
    for given in (limit, {"m": limit}):
        figure = plot_pair(*photos, {"m": weak}, 0.5, 0.3, limit=given)
        np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), apart[2])
    own = plot_pair(*photos, {"m": weak}, 0.5, 0.3, limit={"other": limit})
    assert (own.axes[2].images[0].get_array() != apart[2]).any()
    with pytest.raises(ValueError, match="limit: got 0"):
        paint_maps(photos, strong, limit=0)


@pytest.mark.parametrize("value", [0.0, 0.3, -2e-4])
def test_a_constant_map_is_called_so(value):
    img_a, img_b = random_pair(1)
    maps = {"flat": (torch.full_like(img_a, value), torch.full_like(img_b, value) + img_a)}
    figure = plot_pair(img_a, img_b, maps, 0.5, 0.3)
    assert [axis.get_title() for axis in figure.axes[:4]] == ["A", "B", CONSTANT, ""]


def test_one_photo_twice_is_called_so():
    img_a, img_b = random_pair(1)
    maps = {"m": (img_a - 0.5, img_b - 0.5)}
    words = "one photo twice: gradients say nothing"
    assert words in plot_pair(img_a, img_a.clone(), maps, 1.0, 0.3).get_suptitle()
    assert words not in plot_pair(img_a, img_b, maps, 0.5, 0.3).get_suptitle()


@pytest.mark.parametrize("spoil", [lambda image: 2 * image - 1, lambda image: 255 * image])
def test_photos_of_another_range_are_not_cut_off(spoil):
    img_a, img_b = random_pair(1)
    maps = {"m": (img_a - 0.5, img_b - 0.5)}
    with pytest.raises(ValueError, match=r"want \[0, 1\].*img / 255 .*\(img \+ 1\) / 2"):
        plot_pair(spoil(img_a), img_b, maps, 0.5, 0.3)
    with pytest.raises(ValueError, match=r"want \[0, 1\]"):
        paint_maps([spoil(img_a)[0]], [img_a[0]])
    plot_pair(img_a + 0.1, img_b - 0.1, maps, 0.5, 0.3)  # noise on a photo


def test_names_are_shown_as_they_are():
    result = synthetic_run(models=["net"]).models["net"].methods["fast"].dpr
    names = ["_mine", "a $x^2$ b", "plain", "$"]
    figure = plot_dpr(dict.fromkeys(names, result), "net $5")
    areas = f" ({result.fmr_auc:.2f}, {result.fnmr_auc:.2f})"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == [name + areas for name in names]
    img_a, img_b = random_pair(1)
    pair = plot_pair(img_a, img_b, dict.fromkeys(names, (img_a - 0.5, img_b)), 0.5, 0.3)
    for drawn in (figure, pair):
        drawn.canvas.draw()
        shown = [*drawn.findobj(lambda artist: hasattr(artist, "get_parse_math"))]
        assert not any(text.get_parse_math() for text in shown if "$" in text.get_text())
