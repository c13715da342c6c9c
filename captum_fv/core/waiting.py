"""One step of work, at whose end all that was asked of values on a GPU is answered at once.

To look at a value is to wait until the GPU has computed it, and meanwhile nobody gives it work. So
within a step checks leave their questions here. On a CPU nothing waits: they are asked there and
then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from torch import Tensor

Act = Callable[[list[float]], None]
"""What to do when numbers are known: raise, warn, or nothing."""


class _Step(threading.local):
    """What is left to be asked of this thread's step; None outside of one."""

    questions: list[tuple[Tensor, Act]] | None = None
    done: set[Hashable] | None = None


_step = _Step()


@contextmanager
def step() -> Iterator[None]:
    """Within this, questions wait until its end; within another one, until that one's.

    What is asked is answered even where the step ends with an error, which an answer may explain.
    """
    if _step.questions is not None:
        yield
        return
    _step.questions, _step.done = [], set()
    try:
        yield
    finally:
        questions = _step.questions
        _step.questions = _step.done = None
        _answer(questions)


def look(numbers: Tensor, act: Act) -> None:
    """Call `act` with the values of a few numbers (k,): at once, or of a GPU's at the step's end.

    >>> with step():
    ...     look(torch.tensor([1.0, 2.0]), print)
    [1.0, 2.0]
    """
    if waits(numbers) and _step.questions is not None:
        _step.questions.append((numbers, act))
    else:
        act(numbers.tolist())


def first_time(key: Hashable) -> bool:
    """Whether this is first asked of a key within the step; True outside of one."""
    if _step.done is None:
        return True
    known = key in _step.done
    _step.done.add(key)
    return not known


def waits(numbers: Tensor) -> bool:
    """Whether to look at these would be to wait."""
    return numbers.is_cuda


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; of a CPU's a GPU takes it when it comes to it, and nobody waits."""
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)  # back from a GPU nobody may be given what is not there yet
    return values.pin_memory().to(device, non_blocking=True)


def _answer(questions: list[tuple[Tensor, Act]]) -> None:
    if not questions:
        return
    device = questions[0][0].device
    values = iter(torch.cat([numbers.detach().to(device) for numbers, _ in questions]).tolist())
    for numbers, act in questions:
        act(list(islice(values, len(numbers))))
