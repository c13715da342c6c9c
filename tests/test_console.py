"""The command and its terminal: stopped, cut off, closed, full, or of another alphabet."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from captum_fv.cli import main, models
from captum_fv.cli.console import plain

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "captum_fv"]
SCRIPT = [sys.executable, "-c", "from captum_fv.__main__ import main; raise SystemExit(main())"]


def shell(line, cwd, *words, **changes):
    """A command line of bash; $FV is the command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FV": f"{sys.executable} -m captum_fv"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, "bash", *words],
        cwd=cwd,
        env=environment | changes,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.mark.kills
@pytest.mark.parametrize("command", [COMMAND, SCRIPT], ids=["module", "script"])
@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.8, 1.1, 1.5, 2.0, 3.0])
def test_ctrl_c_is_one_line_from_the_first_import_on(command, seconds, tmp_path):
    options = ["dpr", "--limit", "400", "--methods", "xface1", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [*command, *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore Ctrl-C, these tests perhaps among it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert errors.endswith("captum-fv: stopped\n")
    assert "Traceback" not in errors
    assert output == ""


def test_nothing_at_its_end_changes_the_code_of_a_stop():
    """Python itself once ended a stopped command by a signal, with no code at all."""
    program = (
        "import atexit, os, captum_fv.cli; captum_fv.cli.main = lambda: 130; "
        "atexit.register(os._exit, 7); print('flushed'); "
        "from captum_fv.__main__ import main; raise SystemExit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (130, b"flushed\n")


def test_an_error_on_the_way_out_of_ctrl_c_is_a_stop(monkeypatch, capsys):
    def run(options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ImportError("numpy failed to load")  # noqa: B904  # as extension modules do

    monkeypatch.setattr(models, "run", run)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "captum-fv: stopped\n"


@pytest.mark.extended
@pytest.mark.parametrize("options", ["models", "--help"])
def test_head_ends_the_reading_and_nothing_else(tmp_path, options):
    done = shell(f"$FV {options} | true", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.extended
def test_a_full_disk_behind_stdout_is_an_error(tmp_path):
    done = shell("$FV models > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == b"captum-fv: error: [Errno 28] No space left on device\n"


@pytest.mark.extended
def test_closed_streams_close_nothing_else(tmp_path):
    options = "dpr --limit 6 --methods rnd --out"
    assert shell(f"$FV {options} run 2>&-", tmp_path).returncode == 0
    assert shell(f"$FV {options} other >&- 2>&- <&-", tmp_path).returncode == 0
    for name in ("table.md", "curves.csv", "curves.png"):
        whole, other = (tmp_path / run / name for run in ("run", "other"))
        assert whole.read_bytes() == other.read_bytes()


@pytest.mark.extended
def test_a_console_without_the_letters_of_a_name_is_no_failure(tmp_path):
    done = shell(
        "$FV dpr --limit 6 --methods rnd --out $'\\u00fc\\u4eba'",
        tmp_path,
        PYTHONIOENCODING="ascii",
    )
    assert (done.returncode, done.stderr.count(b"error")) == (0, 0)
    assert rb"to \xfc\u4eba" in done.stdout
    assert (tmp_path / "ü人" / "table.md").is_file()


@pytest.mark.parametrize("option", ["--out", "--model", "--data"])
def test_a_path_that_is_not_utf8_is_refused_before_anything_is_measured(tmp_path, capsys, option):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    assert main(["dpr", "--limit", "6", "--methods", "rnd", option, name]) == 2
    error = capsys.readouterr().err
    assert re.search(r"error: '\S+\\udcff': not UTF-8; rename the file or folder\n", error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero (--debug"),
        (AssertionError(), "AssertionError: (--debug shows where)"),
        (RecursionError("too deep"), "too deep"),
        (MemoryError(), "out of memory; take a smaller --batch-size"),
        (KeyError("x"), "KeyError: 'x' (--debug"),
    ],
)
def test_every_error_is_one_line_and_debug_shows_the_rest(monkeypatch, capsys, error, says):
    def run(options):
        raise error

    monkeypatch.setattr(models, "run", run)
    assert main(["models"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"captum-fv: error: {says}")
    assert said.count("\n") == 1
    assert main(["models", "--debug"]) == 2
    debugged = capsys.readouterr().err
    assert debugged.startswith("Traceback")
    assert debugged.endswith(said)


def test_names_do_not_reach_the_terminal_as_commands(monkeypatch, capsys):
    hostile = "a\x1b]0;owned\x07\x9b2J\u202egpj.exe\rb\tc"
    assert plain(hostile) == r"a\x1b]0;owned\x07\x9b2J\u202egpj.exe\rb" + "\tc"

    def run(options):
        print(hostile)
        raise ValueError(hostile)

    monkeypatch.setattr(models, "run", run)
    assert main(["models"]) == 2
    printed = capsys.readouterr()
    assert printed.out == plain(hostile) + "\n"
    assert not set("\x1b\x07\x9b\u202e\r") & set(printed.err)
    with pytest.raises(SystemExit):
        main([hostile])
    assert not set("\x1b\x07\x9b\u202e\r") & set(capsys.readouterr().err)
