"""benchmarks/speed/start_up.py measures the process that it starts, and no failure."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_the_cpu_time_is_that_of_the_process_started(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from speed.start_up import cpu_seconds

    assert cpu_seconds(["-c", BUSY]) >= 0.3
    with pytest.raises(SystemExit, match="exit code 3"):
        cpu_seconds(["-c", "raise SystemExit(3)"])
