"""What is freed is kept: the next batch finds its pages, and none has to be cleared anew."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from captum_fv.core.allocator import keep_freed_memory

BATCHES = """
import resource
import numpy as np
from captum_fv.core.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(6_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before, kept, warming_up, since = faults(), keep_freed_memory(), faults(), faults()
print(int(kept), before, since)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's C library")
def test_a_batch_finds_the_pages_of_the_one_before() -> None:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", BATCHES],
        env=plain | {"NUMPY_MADVISE_HUGEPAGE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, before, since = map(int, ran.stdout.split())
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert since < before / 10


def test_a_users_own_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert not keep_freed_memory()
