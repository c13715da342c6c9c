"""What people hand over in place of tensors, and calls in another setting than usual."""

from pathlib import Path

import captum.attr as captum
import numpy as np
import pytest
import torch
from PIL import Image

from captum_fv.attr import (
    IntegratedArgumentGradient,
    OcclusionPairAttribution,
    RandomPairBaseline,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.attr.smoothing import smooth
from tests.support.nets import random_pair, small_siamese

SIAMESE = small_siamese()
METHODS = {
    "xssab": SimilarityArgumentGradient(SIAMESE, 0.1),
    "iag": IntegratedArgumentGradient(SIAMESE, 0.1),
    "iag and agreement": IntegratedArgumentGradient(SIAMESE, 0.1, agreement=1),
    "sensitivity": SensitivityControl(SIAMESE, 0.1),
    "xface": OcclusionPairAttribution(SIAMESE, patch_sizes=(5,)),
    "rnd": RandomPairBaseline(SIAMESE),
}
PHOTOS = {
    "path": Path("a.jpg"),
    "text": "a.jpg",
    "PIL": Image.new("RGB", (18, 20)),
    "array": np.zeros((20, 18, 3), np.uint8),
}
CALLS = {
    "siamese": lambda photo: SIAMESE(photo, photo),
    "embed_images": lambda photo: SIAMESE.embed_images(photo),
    "method": lambda photo: METHODS["xssab"].attribute(photo, photo),
    "method of a tuple": lambda photo: METHODS["rnd"].attribute((photo, photo)),
}


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("call", CALLS)
def test_a_photo_that_is_no_tensor_says_how_it_becomes_one(call, photo):
    says = r"got \w+; want a tensor \(N, C, H, W\); write to_tensor\(\[read_image\(path\)\]\)"
    with pytest.raises(TypeError, match=says):
        CALLS[call](PHOTOS[photo])
    with pytest.raises(TypeError, match=r"want a tensor \(N, C, H, W\)$"):
        CALLS[call](None if call != "siamese" and "method" not in call else 3.0)


@pytest.mark.parametrize("name", METHODS)
def test_maps_under_autocast_are_in_single_precision(name):
    with torch.autocast("cpu", torch.bfloat16):
        maps = METHODS[name].attribute(*random_pair(2))
    assert [mapped.dtype for mapped in maps] == [torch.float32] * 2


def test_the_smoothing_is_no_coarser_under_autocast():
    """The sum of a map is kept to 24 bits, not to 8."""
    maps = torch.rand(2, 1, 20, 18)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = smooth(maps, 2.0)
    assert torch.equal(rounded, smooth(maps, 2.0))


def test_chance_does_not_depend_on_the_default_dtype():
    pair, before = random_pair(2), torch.get_default_dtype()
    expected = RandomPairBaseline(SIAMESE, torch.Generator().manual_seed(1)).attribute(*pair)
    try:
        torch.set_default_dtype(torch.float64)
        maps = RandomPairBaseline(SIAMESE, torch.Generator().manual_seed(1)).attribute(*pair)
    finally:
        torch.set_default_dtype(before)
    assert all(map(torch.equal, maps, expected))


def test_a_threshold_for_each_pair_under_noise_tunnel():
    pair, levels = random_pair(3), torch.tensor([0.1, 0.5, 0.9])
    method = METHODS["xssab"]
    expected = method.attribute(pair, threshold=levels)
    tunnel = captum.NoiseTunnel(method)

    def maps(threshold, **options):
        return tunnel.attribute(pair, nt_samples=4, stdevs=0.0, threshold=threshold, **options)

    torch.testing.assert_close(maps(levels.repeat_interleave(4)), expected)
    at_once = maps(levels.repeat_interleave(2), nt_samples_batch_size=2)
    torch.testing.assert_close(at_once, expected)
    says = r"repeat_interleave\(nt_samples\), or by nt_samples_batch_size"
    with pytest.raises(ValueError, match=says):
        maps(levels)
    with pytest.raises(ValueError, match=says):
        maps(levels.repeat_interleave(4), nt_samples_batch_size=2)
