"""Models by methods by pairs: measured into a folder of tables. Nothing here draws."""

from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.benchmark.run import run_benchmark
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.benchmark.swap_run import SwapGameRun, play_swap_game

__all__ = [
    "BenchmarkResults",
    "BenchmarkSettings",
    "SwapGameRun",
    "play_swap_game",
    "run_benchmark",
]
