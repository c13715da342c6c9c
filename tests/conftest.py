"""One thread for each process: tiny nets are slower on several, and pytest-xdist has the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also for the processes that tests start

import torch

torch.set_num_threads(1)
