"""What images, scores and numbers must be; errors say what came and what to write instead.

They are for the mistakes that people make. Of tensors that are sparse, nested, quantised or on the
meta device PyTorch itself says what it cannot do with them.
"""

from __future__ import annotations

import math
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captum_fv.core.waiting import look, waits


def check_tensor(name: str, value: Any, want: str) -> None:
    """Raise a TypeError for what is no tensor; it says what is wanted, with shape and kind."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: got {type(value).__name__}; want {want}")


def check_form(name: str, image: Any) -> None:
    """Raise unless these are floating point images (N, C, H, W), whatever they hold."""
    photo = isinstance(image, str | Path | np.ndarray) or type(image).__module__.startswith("PIL.")
    hint = "; write to_tensor([read_image(path)]), both of captum_fv.data" if photo else ""
    check_tensor(name, image, f"a tensor (N, C, H, W){hint}")
    if image.ndim != 4 or 0 in image.shape:
        hint = f"; for one photo write {name}[None]" if image.ndim == 3 else ""
        raise ValueError(f"{name}: got shape {tuple(image.shape)}; want (N, C, H, W){hint}")
    if not image.is_floating_point():
        raise ValueError(
            f"{name}: got {image.dtype} of shape {tuple(image.shape)}; want floating point images "
            f"(N, C, H, W), as in {name}.float() / 255"
        )


def check_images(hint: str = "", /, **images: Any) -> None:
    """Raise unless these are finite floating point images (N, C, H, W), by name, and alike.

    The hint says what to do about shapes that differ.
    """
    check_forms(hint, **images)
    for name, image in images.items():
        require_finite(f"{name}: holds NaN or infinite values; want finite pixels", image)


def check_forms(hint: str = "", /, **images: Any) -> None:
    """`check_images`, whatever they hold."""
    first_name, first = next(iter(images.items()))
    for name, image in images.items():
        check_form(name, image)
        if image.shape != first.shape:
            raise ValueError(
                f"{name}: got shape {tuple(image.shape)}, and {first_name} is "
                f"{tuple(first.shape)}; want equal shapes{hint}"
            )
        if image.dtype != first.dtype or image.device != first.device:
            raise ValueError(
                f"{name}: got {image.dtype} on {image.device}, and {first_name} is {first.dtype} "
                f"on {first.device}; want the same for both"
            )


def check_values(name: str, values: Tensor) -> None:
    """Raise for a tensor that does not hold finite floating point numbers."""
    if not values.is_floating_point():
        raise TypeError(f"{name}: got {values.dtype}; want floating point")
    require_finite(f"{name}: holds values that are NaN or infinite", values)


def check_pixels(images: Tensor, photos: bool) -> None:
    """Raise for pixels that are NaN or infinite; of photos in [0, 1] also for pixels up to 255.

    Pixels in [-1, 1] in place of [0, 1] give a warning: the cosine of such images looks like any
    other. Noise on a photo, which leads out of its range on both sides, passes.
    """
    if hides_values(images):
        return

    def judge(ends: list[float]) -> None:
        low, high = ends
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("images: holds NaN or infinite values; want finite pixels")
        if photos and high > 10:
            raise ValueError(
                f"images: hold values up to {high:.4g}; this model takes photos in [0, 1], so "
                "write images / 255"
            )
        if photos and low < -0.5 and high <= 1:
            warnings.warn(
                f"images hold values from {low:.2g} to {high:.2g}; this model takes photos in "
                "[0, 1] and normalises them itself",
                stacklevel=4,
            )

    # One pass: NaN is the least and the largest of all values.
    look(torch.stack(images.detach().aminmax()), judge)


def require_finite(message: str, *tensors: Tensor) -> None:
    """Raise a ValueError if something is NaN or infinite; of tensors on a GPU at the step's end."""
    seen = [values for values in tensors if not hides_values(values)]
    if not seen:
        return
    if not waits(seen[0]):
        if not all_finite(*seen):
            raise ValueError(message)
        return

    def judge(finite: list[float]) -> None:
        if not all(finite):
            raise ValueError(message)

    look(torch.stack([torch.isfinite(values.detach()).all() for values in seen]), judge)


def all_finite(*tensors: Tensor) -> bool:
    """Whether nothing is NaN or infinite; taken for granted where nobody can look at values."""
    seen = [values.detach() for values in tensors if not hides_values(values)]
    if not seen:
        return True
    # One pass in place of isfinite's several: a sum is finite if all of its terms are. The other
    # way round large terms may overflow.
    sums = [x.sum(dtype=torch.promote_types(x.dtype, torch.float32)) for x in seen]
    if math.isfinite(sum(sums[1:], sums[0])):
        return True
    return all(bool(torch.isfinite(values).all()) for values in seen)


def hides_values(values: Tensor) -> bool:
    """Whether this is recorded, by torch.compile, export or jit or by CUDA, or within vmap."""
    recorded = torch.compiler.is_compiling() or torch._C._is_tracing()
    recorded = recorded or (values.is_cuda and torch.cuda.is_current_stream_capturing())
    return recorded or torch._C._functorch.is_batchedtensor(values)


def is_count(value: Any) -> bool:
    """Whether this is a whole number of 1 or more."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def check_counts(**counts: Any) -> None:
    """Raise a ValueError for numbers, by name, that are not whole or below 1."""
    for name, value in counts.items():
        if not is_count(value):
            raise ValueError(f"{name}: got {value!r}; want a whole number, 1 or more")


def check_seed(seed: Any) -> None:
    """Raise a ValueError for what NumPy's generators do not take."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**32:
        raise ValueError(f"seed: got {seed!r}; want a whole number from 0 to below 2**32")


def check_size(name: str, size: Any) -> None:
    """Raise a ValueError unless this is (height, width) in pixels."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"{name}: got {size!r}; want (height, width)")
    check_counts(**{f"{name}[0]": size[0], f"{name}[1]": size[1]})


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise a ValueError for something else than one of the choices."""
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}; want one of {choices}")


def check_generator(generator: Any) -> None:
    """Raise a TypeError for something else than a generator of random numbers or None."""
    if not isinstance(generator, torch.Generator | None):
        raise TypeError(
            f"generator: got {type(generator).__name__}; write torch.Generator().manual_seed(0)"
        )


def as_number(name: str, value: Any) -> float:
    """One finite number, given as such or as a tensor or array of one; else an error."""
    try:
        if isinstance(value, str):
            raise TypeError
        number = float(value.detach() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise TypeError(f"{name}: got {value!r}; want one number") from error
    if not abs(number) < float("inf"):
        raise ValueError(f"{name}: got {number}; want a finite number")
    return number


def describe(out: Any) -> str:
    """What came, in a few words."""
    if isinstance(out, Tensor):
        return str(tuple(out.shape))
    if isinstance(out, dict):
        return f"a dict with keys {list(out)}"
    if isinstance(out, tuple | list):
        return f"a {type(out).__name__} of {len(out)}"
    return f"a {type(out).__name__}"
