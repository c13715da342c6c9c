"""For every test and doctest: one thread, and the same random numbers in any order of the tests."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; the processes of tests have it too

import numpy as np
import torch


def pytest_runtest_setup() -> None:
    """pytest-xdist's processes take tests as they come: none may depend on those before it."""
    torch.manual_seed(0)
    np.random.seed(0)
