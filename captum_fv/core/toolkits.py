"""What is used only where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(toolkit: str, install: str) -> Iterator[None]:
    """Imports of something optional; where it is missing, an ImportError that says what to write.

    Args:
        toolkit: What it is called.
        install: What pip installs it by.

    >>> with needs("Nothing", "nothing-at-all"):
    ...     import nothing_at_all
    Traceback (most recent call last):
    ImportError: this needs Nothing (No module named 'nothing_at_all'); pip install nothing-at-all
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:  # torchvision beside another torch: RuntimeError
        reason = " ".join(str(error).split())
        raise ImportError(f"this needs {toolkit} ({reason}); pip install {install}") from error
