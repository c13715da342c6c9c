"""The blur of the published maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from captum_fv.attr.smoothing import gaussian_blur
from tests.support.occlusion import naive_blur


@pytest.mark.parametrize(("kernel", "sigma"), [(5, 5.0), (3, 0.7), (1, 1.0)])
def test_blur_equals_the_sum_over_the_window(kernel: int, sigma: float) -> None:
    maps = torch.randn(2, 3, 4, 7, dtype=torch.float64)
    found = gaussian_blur(maps, kernel, sigma)
    for picture, blurred in zip(maps.flatten(0, 1), found.flatten(0, 1), strict=True):
        np.testing.assert_allclose(blurred, naive_blur(picture.numpy(), kernel, sigma), atol=1e-12)


@pytest.mark.parametrize(("kernel", "sigma"), [(4, 1.0), (3, 0.0), (7, 1.0)])
def test_blur_refuses_windows_that_do_not_fit(kernel: int, sigma: float) -> None:
    with pytest.raises(ValueError, match=f"kernel={kernel}"):
        gaussian_blur(torch.zeros(1, 1, 3, 3), kernel, sigma)
