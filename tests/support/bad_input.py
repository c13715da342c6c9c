"""What a user may hand over by mistake, and how to tell whether the answer to it is good."""

from __future__ import annotations

import linecache
import random
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

import captum_fv
from tests.support.nets import random_pair

PACKAGE = str(Path(captum_fv.__file__).parent)
NOT_FINITE = (torch.nan, torch.inf, -torch.inf)


def fuzzed(examples: int) -> settings:
    """The same examples on every machine and in every run."""
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None)


def clear_error(call: Callable[[], Any], *given: Any) -> tuple[Any, Exception | None]:
    """What a call gives, or its error, which one of our own `raise` must have made on purpose.

    Where something exotic was given, PyTorch may say itself that it cannot.
    """
    error: Exception
    try:
        return call(), None
    except Exception as raised:
        error = raised
    if is_exotic(given):
        return None, error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    assert isinstance(error, TypeError | ValueError | FileNotFoundError), repr(error)
    assert frame.filename.startswith(PACKAGE), f"{frame.filename}: {error!r}"
    assert line.startswith("raise "), f"{line}: {error!r}"
    assert len(str(error)) > 20, repr(error)
    return None, error


def is_exotic(given: Any) -> bool:
    """Whether a tensor is in this whose values cannot simply be read: nobody's slip of the pen."""
    if isinstance(given, dict | tuple | list):
        return any(map(is_exotic, given.values() if isinstance(given, dict) else given))
    if isinstance(given, torch.nn.Module):
        return any(map(is_exotic, given.parameters()))
    if not isinstance(given, Tensor):
        return False
    eight_bits = given.is_floating_point() and given.itemsize == 1
    return given.is_nested or given.is_meta or given.layout != torch.strided or eight_bits


def is_good(image: Any) -> bool:
    """Whether this is a batch of images that a method can be asked about."""
    return (
        isinstance(image, Tensor)
        and not is_exotic(image)
        and image.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
        and image.ndim == 4
        and image.numel() > 0
        and bool(torch.isfinite(image).all())
    )


def _strided(image: Tensor) -> Tensor:
    return image.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0)


def _sliced(image: Tensor) -> Tensor:
    return torch.stack([image, -image], -1)[..., 0]


def _of_inference(image: Tensor) -> Tensor:
    with torch.inference_mode():
        return image.clone()


SAME_IMAGES: dict[str, Callable[[Tensor], Any]] = {
    "plain": lambda image: image,
    "strided": _strided,
    "sliced": _sliced,
    "channels last": lambda image: image.contiguous(memory_format=torch.channels_last),
    "a leaf": lambda image: image.clone().requires_grad_(),
    "with a graph": lambda image: image.clone().requires_grad_() * 1,
    "of inference mode": _of_inference,
    "expanded": lambda image: image[:1].expand_as(image),
    "a parameter": torch.nn.Parameter,
}
"""Ways to hold good images, which change nothing."""

OTHER_IMAGES: dict[str, Callable[[Tensor], Any]] = {
    "none": lambda image: None,
    "text": lambda image: "a.jpg",
    "an array": lambda image: image.numpy(),
    "a list": lambda image: image.tolist(),
    "bytes": lambda image: (image * 255).byte(),
    "truths": lambda image: image > 0.5,
    "complex": lambda image: image.to(torch.complex64),
    "half": lambda image: image.half(),
    "bfloat16": lambda image: image.bfloat16(),
    "double": lambda image: image.double(),
    "no pairs": lambda image: image[:0],
    "one pair": lambda image: image[:1],
    "one photo": lambda image: image[0],
    "one number": lambda image: image[0, 0, 0, 0],
    "five dimensions": lambda image: image[None],
    "grey": lambda image: image[:, :1],
    "with alpha": lambda image: torch.cat([image, image[:, :1]], 1),
    "no channel": lambda image: image[:, :0],
    "one pixel": lambda image: image[..., :1, :1],
    "one row": lambda image: image[..., :1, :],
    "smaller": lambda image: image[..., :9, :10],
    "no rows": lambda image: image[..., :0, :],
    "in 0..255": lambda image: image * 255,
    "huge": lambda image: image * 1e30,
    "too huge": lambda image: image * 3e38,
    "tiny": lambda image: image * 1e-30,
    "black": lambda image: image * 0,
}
"""Images that are none, or others than the model was made for: what people hand over by mistake."""

EXOTIC_IMAGES: dict[str, Callable[[Tensor], Any]] = {
    "eight bits": lambda image: image.to(torch.float8_e4m3fn),
    "sparse": lambda image: image.to_sparse(),
    "nested": lambda image: torch.nested.nested_tensor(list(image)),
    "on meta": lambda image: image.to("meta"),
}
"""Tensors that nobody hands over by mistake; what a method does with them is never a NaN."""

ALL_IMAGES = {**SAME_IMAGES, **OTHER_IMAGES, **EXOTIC_IMAGES}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Images A and B: as they should be, held in some way, or wrong, both or one of them."""
    img_a, img_b = random_pair(draw(st.integers(1, 3)), draw(st.integers(0, 9)))
    spoil = draw(st.sampled_from([*ALL_IMAGES.values(), None]))
    if spoil is None:
        img_a = img_a.clone()
        place = draw(st.integers(0, img_a.numel() - 1))
        img_a.view(-1)[place] = draw(st.sampled_from(NOT_FINITE))
        return draw(st.sampled_from([(img_a, img_b), (img_b, img_a)]))
    which = draw(st.sampled_from(["a", "b", "both"]))
    return (
        spoil(img_a) if which in ("a", "both") else img_a,
        spoil(img_b) if which in ("b", "both") else img_b,
    )


def thresholds(count: int) -> st.SearchStrategy[Any]:
    """Thresholds for so many pairs: numbers, one for each pair, and what is neither."""
    number = st.one_of(st.floats(-1, 1), st.floats(), st.integers(-2, 2))
    kinds = (torch.tensor, np.array, list, lambda values: torch.tensor(values)[:, None])
    several = st.builds(
        lambda kind, values: kind(values),
        st.sampled_from(kinds),
        st.integers(1, count + 1).flatmap(
            lambda n: st.lists(st.floats(-1, 1, width=32), min_size=n, max_size=n)
        ),
    )
    neither = (None, "0.3", 1j, {}, b"", 10**400, torch.tensor(1j), torch.zeros((), device="meta"))
    return st.one_of(number, several, st.sampled_from(neither))


def world() -> list[Any]:
    """What a call may not change outside of what it is given."""
    state = np.random.get_state()
    return [
        torch.get_rng_state().tolist(),
        random.getstate(),
        (state[1].tolist(), state[2]),  # type: ignore[index]
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
    ]


def image_state(image: Any) -> Any:
    """Whatever of an image a call may not change, as bytes where it has any."""
    if not isinstance(image, Tensor) or is_exotic(image):
        return repr(image)
    values = image.detach().contiguous().view(torch.uint8) if image.numel() and image.ndim else None
    content = None if values is None else values.numpy().tobytes()
    return content, image.shape, image.stride(), image.requires_grad, image.is_leaf and image.grad


def model_state(model: torch.nn.Module) -> list[Any]:
    """Whatever of a model a call may not change."""
    return [
        (
            module.training,
            len(module._forward_hooks) + len(module._backward_hooks),
            sorted(vars(module)),
            [(p.requires_grad, p.grad) for p in module.parameters(recurse=False)],
            {key: value.tolist() for key, value in module.state_dict().items()},
        )
        for module in model.modules()
    ]
