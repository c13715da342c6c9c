"""One thread for each process: tiny nets are slower on several, and pytest-xdist has the cores."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it when imported, also in processes of the tests
