"""torchrun's processes: minutes for the meeting, days for the slowest."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys, time
from datetime import timedelta
from captum_fv.benchmark import workers
workers.MEETING = timedelta(seconds=15)
with workers.torchrun_workers() as some:
    if not some.is_first:
        time.sleep(float(sys.argv[1]))
    some.wait()
print("met")
"""


def start(rank, port, seconds=0.0):
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(seconds)],
        env=os.environ | meeting | {"RANK": str(rank), "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.kills
@pytest.mark.parametrize("rank", [0, 1])
def test_one_whose_others_were_killed_does_not_wait_for_days(port, rank):
    started = time.monotonic()
    process = start(rank, port)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "RuntimeError: the 2 processes of torchrun did not meet within 0:00:15" in errors
    assert time.monotonic() - started < 100


@pytest.mark.kills
def test_the_slowest_is_waited_for_longer_than_the_meeting(port):
    processes = [start(rank, port, seconds=22) for rank in (0, 1)]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["met\n", "met\n"]
