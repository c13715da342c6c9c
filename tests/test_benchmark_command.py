"""`captum-fv benchmark` killed, resumed, shared, out of space: always the same files."""

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.cli import main

OPTIONS = [
    *("benchmark", "--limit", "16", "--batch-size", "2", "--methods", "rogue:Mine,centre"),
    *("--check-pairs", "4", "--latency-pairs", "0", "--out", "run"),
]
CHUNKS = 8 + 8 + 2
"""Of scores, of maps, and the checks of each method."""
ROOT = Path(__file__).resolve().parents[1]

ROGUE = """
import os, signal
from captum_fv.attr import RandomPairBaseline

class Mine(RandomPairBaseline):
    def attribute(self, *args, **options):
        done = [name for name in os.listdir("run/chunks") if name.startswith("maps")]
        if os.environ.get("RANK") == os.environ.get("LOST") == "1" and len(done) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().attribute(*args, **options)
"""


def start(folder, processes=1, **changes):
    """A run in a process of its own, or in several that share it."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    module = ["-m", *(launcher if processes > 1 else []), "captum_fv"]
    (folder / "rogue.py").write_text(ROGUE)
    return subprocess.Popen(
        [sys.executable, *module, *OPTIONS],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | changes,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(folder, monkeypatch, *extra):
    """A run, or the rest of one, in this process, which spares it a start."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return main([*OPTIONS, *extra])


def files(folder):
    """Everything that a run wrote, name -> content."""
    run = folder / "run"
    found = {str(path.relative_to(run)): path for path in run.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def assert_same_files(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run in this process: its folder, and what it printed."""
    folder, printed = tmp_path_factory.mktemp("whole"), (io.StringIO(), io.StringIO())
    (folder / "rogue.py").write_text(ROGUE)
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(printed[0]),
        redirect_stderr(printed[1]),
    ):
        assert run(folder, patch) == 0
    return folder, *(stream.getvalue() for stream in printed)


def chunks(folder):
    return len(list(folder.glob("run/chunks/*.npz")))


@pytest.mark.extended
def test_a_run_prints_its_tables_and_how_to_look_at_it(whole):
    folder, output, errors = whole
    assert re.search(r"^demo:\nrogue:Mine +16 ", output, re.MULTILINE)
    assert max(map(len, output.splitlines())) <= 100
    assert output.endswith("wrote run/report.html\n")
    assert "Traceback" not in errors
    config = json.loads((folder / "run/config.json").read_text())
    assert config["command"] == f"captum-fv {' '.join(OPTIONS)}"
    assert config["data"]["pairs"] == 16
    assert chunks(folder) == CHUNKS


@pytest.mark.kills
def test_a_killed_run_goes_on_to_the_same_files(whole, tmp_path, monkeypatch):
    for done in (3, 17):  # among the scores, and the checks; among the maps a process is lost below
        process = start(tmp_path)
        while chunks(tmp_path) < done:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert done <= chunks(tmp_path) < CHUNKS
        with pytest.raises(FileNotFoundError, match="has not ended"):
            BenchmarkResults.load(tmp_path / "run")
    assert run(tmp_path, monkeypatch) == 0
    assert_same_files(files(tmp_path), files(whole[0]))


@pytest.mark.kills
def test_two_processes_share_a_run(whole, tmp_path):
    process = start(tmp_path, processes=2)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert output == whole[1]
    assert_same_files(files(tmp_path), files(whole[0]))
    assert "Traceback" not in errors
    for process in ("process 1 of 2", "process 2 of 2"):
        assert re.search(f"{process}: maps of demo: 8 pairs, .* pairs/s", errors)


@pytest.mark.kills
def test_a_lost_process_leaves_what_was_done(whole, tmp_path, monkeypatch):
    process = start(tmp_path, processes=2, LOST="1")
    process.communicate(timeout=600)
    assert process.returncode != 0
    assert 10 < chunks(tmp_path) < CHUNKS
    assert run(tmp_path, monkeypatch) == 0
    assert_same_files(files(tmp_path), files(whole[0]))


@pytest.mark.extended
def test_a_damaged_chunk_is_measured_again(whole, tmp_path, monkeypatch, capsys):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    for name in ("scores-0-000002", "maps-0-000004"):
        path = tmp_path / f"run/chunks/{name}.npz"
        path.write_bytes(path.read_bytes()[:200])
    (tmp_path / "run/maps.npz").unlink(missing_ok=True)
    (tmp_path / "run/maps.parquet").unlink(missing_ok=True)
    assert run(tmp_path, monkeypatch) == 0
    output, errors = capsys.readouterr()
    warned = r"captum-fv: warning: run/chunks/(\S+)\.npz is damaged; its pairs are measured again\n"
    assert re.findall(warned, errors) == ["scores-0-000002", "maps-0-000004"]
    assert output == whole[1]
    assert_same_files(files(tmp_path), files(whole[0]))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--seed", "4"], "holds a run with"),
        (["--subset", "centre=4"], "holds a run with subset"),
        (["--batch-size", "4"], "holds a run with batch_size 2, and this is 4"),
        (["--limit", "12"], "holds a run with data"),
    ],
)
def test_other_settings_are_refused(whole, monkeypatch, capsys, extra, says):
    before = files(whole[0])
    assert run(whole[0], monkeypatch, *extra) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert_same_files(files(whole[0]), before)


@pytest.mark.extended
def test_no_space_is_an_error_and_the_run_goes_on_later(whole, tmp_path, monkeypatch, capsys):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "run/chunks/scores-0-000005.npz").unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        code = run(tmp_path, monkeypatch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    errors = capsys.readouterr().err
    assert "captum-fv: error: run/chunks/scores-0-000005.npz: File too large\n" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.partial"))
    assert run(tmp_path, monkeypatch) == 0
    assert_same_files(files(tmp_path), files(whole[0]))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--model", "demo,demo"], "demo stands twice"),
        (["--model", "demo,nobody.pt2"], "nobody.pt2"),
        (["--model", "demo,iresnet18", "--checkpoint", "x.pt"], "--checkpoint is for one"),
        (["--methods", "xssab,xsab"], "unknown method 'xsab'"),
        (["--methods", "nowhere:Mine"], "nowhere"),
        (["--subset", "xssab"], "want METHOD=N"),
        (["--subset", "xface1=3"], "xface1 is not measured"),
        (["--latency-pairs", "-1"], "latency_pairs: got -1"),
    ],
)
def test_bad_options_are_one_line(tmp_path, monkeypatch, capsys, extra, says):
    try:
        code = run(tmp_path, monkeypatch, *extra)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_latency_is_timed_on_some_pairs(tmp_path, monkeypatch):
    options = "--limit 6 --methods rnd,oracle --latency-pairs 4 --no-faces --no-strata --out run"
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *options.split()]) == 0
    results = BenchmarkResults.load(tmp_path / "run").models["demo"].methods
    assert [found.latency.pairs for found in results.values()] == [4, 4]
    assert all(np.all(found.latency.seconds > 0) for found in results.values())
    assert b"data:image/jpeg" not in (tmp_path / "run/report.html").read_bytes()
