"""What does it cost to start, beside torch and Captum, which cannot be done without?

    python benchmarks/speed/start_up.py

Bar: `import captum_fv` and `captum-fv --help` each take at most 0.3 s of CPU time more than `import
torch, captum`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import numpy as np

BAR = 0.3
COMMANDS = {
    "import torch, captum": ["-c", "import torch, captum"],
    "import captum_fv": ["-c", "import captum_fv; captum_fv.SiameseCosine"],
    "captum-fv --help": ["-m", "captum_fv", "--help"],
}


def main() -> None:
    """Start each in turn, so that a busy machine disturbs them alike, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="how often each is started")
    rounds = parser.parse_args().rounds

    for options in COMMANDS.values():
        cpu_seconds(options)  # the first one reads the disk, and may write .pyc files
    times = [[cpu_seconds(options) for options in COMMANDS.values()] for _ in range(rounds)]
    medians = dict(zip(COMMANDS, np.median(times, axis=0), strict=True))
    baseline, *ours = medians
    print(f"{baseline}: {medians[baseline]:.2f} s of CPU time")
    for name in ours:
        more = medians[name] - medians[baseline]
        print(
            f"{name}: {medians[name]:.2f} s, {more:+.2f} s (bar: {BAR}), ratio: "
            f"{medians[name] / medians[baseline]:.2f}"
        )


def cpu_seconds(options: list[str]) -> float:
    """User and system time of a fresh Python with these options, in all of its threads."""
    with subprocess.Popen([sys.executable, *options], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"python {' '.join(options)}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
