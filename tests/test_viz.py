"""Pictures of maps and curves show the numbers they are given."""

import numpy as np
import pytest
import torch

from captum_fv.attr.smoothing import gaussian_blur, wants_blur
from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xssab import SimilarityArgumentGradient
from captum_fv.report.pictures import paint_maps, plot_dpr, plot_pair
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
