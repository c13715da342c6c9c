"""What tensors free on the CPU is kept for the next batch."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h
_NEVER = 2**30
"""Bytes; no tensor of a batch is larger, and no more than these lie free."""


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, in place of handing it back; whether it does.

    glibc hands large pieces back at once, and for the next batch the system clears every page anew,
    which took up to a quarter of the time of forwards. It concerns the whole process, whose memory
    stays near its peak; so the commands ask for it, and the library does not. Other C libraries,
    and a user's own settings of this one, are left as they are.
    """
    own = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if own or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(option, _NEVER) for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
