"""A run's folder: whole files, one run at a time, and nobody else's run."""

import errno
import json
import resource
import shutil
import warnings
from contextlib import closing

import numpy as np
import pytest

from captum_fv.benchmark.columns import read_table
from captum_fv.benchmark.folder import RunFolder
from captum_fv.benchmark.results import read_config
from captum_fv.core.files import write_atomically

SETTINGS = {"seed": 3, "methods": ["rnd"], "tables": "npz", "command": "first"}
TABLE = {"pair": np.arange(3), "score": np.array([0.1, 0.2, np.nan])}


def test_chunks_read_back(tmp_path):
    with closing(RunFolder(tmp_path / "run", SETTINGS).open()) as folder:
        assert folder.read_chunk("scores-0-000000") is None
        folder.write_chunk("scores-0-000000", TABLE)
        table = folder.read_chunk("scores-0-000000")
        assert list(table) == list(TABLE)
        for name, values in TABLE.items():
            np.testing.assert_array_equal(table[name], values)
    assert json.loads((tmp_path / "run/config.json").read_text()) == SETTINGS


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "text", "column"])
def test_a_damaged_chunk_is_as_good_as_none(tmp_path, damage):
    with closing(RunFolder(tmp_path, SETTINGS).open()) as folder:
        folder.write_chunk("maps", TABLE)
        path = tmp_path / "chunks/maps.npz"
        content = path.read_bytes()
        if damage == "column":
            with np.load(path) as stored:
                np.savez(path, **{**stored, "score": np.zeros(3)})
        else:
            middle = len(content) // 2
            flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            path.write_bytes(
                {
                    "cut": content[:middle],
                    "flipped": flipped,
                    "emptied": b"",
                    "text": b"scores",
                }[damage]
            )
        with pytest.warns(UserWarning, match="measured again"):
            assert folder.read_chunk("maps") is None


@pytest.mark.filterwarnings("error")
def test_every_flipped_bit_that_matters_is_noticed(tmp_path):
    with closing(RunFolder(tmp_path, SETTINGS).open()) as folder:
        folder.write_chunk("maps", TABLE)
        path = tmp_path / "chunks/maps.npz"
        content = path.read_bytes()
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 16
            path.write_bytes(damaged)
            try:
                table = folder.read_chunk("maps")
            except UserWarning:
                continue
            for name, values in TABLE.items():  # a date or a flag of the archive
                np.testing.assert_array_equal(table[name], values)


def test_any_damaged_byte_is_measured_again_or_changes_nothing(tmp_path):
    """Header, directory or content: 201 of 10,079 such damages once were a traceback."""
    rng = np.random.default_rng(0)
    table = TABLE | {"method": np.array(["xssab", "rnd", "own:Mine"]), "maps": rng.random((3, 21))}
    with closing(RunFolder(tmp_path, SETTINGS).open()) as folder:
        folder.write_chunk("maps", table)
        path = tmp_path / "chunks/maps.npz"
        content = path.read_bytes()
        again = 0
        for place, value in zip(
            rng.integers(len(content), size=1500), rng.integers(1, 256, 1500), strict=True
        ):
            damaged = bytearray(content)
            damaged[place] ^= value
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = folder.read_chunk("maps")
            if found is None:
                again += 1
                continue
            for name, values in table.items():
                np.testing.assert_array_equal(found[name], values)
    assert again > 1000


def test_a_chunk_under_another_chunks_name_is_not_taken(tmp_path):
    """As after a slip with cp or rsync, which leaves one chunk's figures for another's pairs."""
    with closing(RunFolder(tmp_path, SETTINGS).open()) as folder:
        folder.write_chunk("maps-0-000000", TABLE)
        shutil.copy(tmp_path / "chunks/maps-0-000000.npz", tmp_path / "chunks/maps-0-000001.npz")
        assert folder.read_chunk("maps-0-000000") is not None
        with pytest.warns(
            UserWarning, match=r"maps-0-000001\.npz is damaged; its pairs are measure"
        ):
            assert folder.read_chunk("maps-0-000001") is None


@pytest.mark.parametrize("text", ["[]", "3", '"run"', "null", '{"tables": "xlsx"}', "[" * 9999])
def test_a_config_that_is_no_runs_is_named(tmp_path, text):
    RunFolder(tmp_path, SETTINGS).open().close()
    (tmp_path / "config.json").write_text(text)
    for read in (lambda: RunFolder(tmp_path, SETTINGS).open(), lambda: read_config(tmp_path)):
        with pytest.raises(ValueError, match=r"config\.json: not .*; remove it to begin anew"):
            read()


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "scores.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"scores\.npz: cannot be read"):
        read_table(tmp_path / "scores")


def test_another_runs_chunk_is_not_taken(tmp_path):
    with closing(RunFolder(tmp_path / "a", SETTINGS).open()) as folder:
        folder.write_chunk("maps", TABLE)
    with closing(RunFolder(tmp_path / "b", SETTINGS | {"seed": 4}).open()) as folder:
        (tmp_path / "a/chunks/maps.npz").rename(tmp_path / "b/chunks/maps.npz")
        with pytest.warns(UserWarning, match="damaged"):
            assert folder.read_chunk("maps") is None


def test_the_same_run_goes_on_and_another_is_refused(tmp_path):
    RunFolder(tmp_path, SETTINGS).open().close()
    with closing(RunFolder(tmp_path, SETTINGS | {"command": "second"}).open()) as folder:
        assert folder.settings["command"] == "first"
    other = SETTINGS | {"methods": ["rnd", "centre"]}
    with pytest.raises(ValueError, match=r'methods \["rnd"\], and this is \["rnd", "centre"\]'):
        RunFolder(tmp_path, other).open()
    with pytest.raises(ValueError, match="seed 3, and this is null"):
        RunFolder(tmp_path, {key: SETTINGS[key] for key in SETTINGS if key != "seed"}).open()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        RunFolder(tmp_path, SETTINGS).open()


def test_tables_stay_of_one_kind(tmp_path, monkeypatch):
    parquet = SETTINGS | {"tables": "parquet"}
    monkeypatch.setattr("captum_fv.benchmark.columns.has_parquet", lambda: True)
    RunFolder(tmp_path / "npz", SETTINGS).open().close()
    with closing(RunFolder(tmp_path / "npz", parquet).open()) as folder:
        assert folder.settings["tables"] == "npz"
    RunFolder(tmp_path / "parquet", parquet).open().close()
    monkeypatch.setattr("captum_fv.benchmark.columns.has_parquet", lambda: False)
    with pytest.raises(ValueError, match=r"captum_fv\[parquet\]"):
        RunFolder(tmp_path / "parquet", SETTINGS).open()


def test_a_folder_is_one_runs_at_a_time(tmp_path):
    with (
        closing(RunFolder(tmp_path, SETTINGS).open()),
        pytest.raises(ValueError, match="another process"),
    ):
        RunFolder(tmp_path, SETTINGS).open()
    RunFolder(tmp_path, SETTINGS).open().close()


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"holds thesis\.tex"):
            RunFolder(tmp_path, SETTINGS).open()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match="run is a file; want a new or empty folder"):
        RunFolder(tmp_path / "run", {"tables": "npz"}).open()


def test_no_space_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "table"
    write_atomically(path, b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="large") as caught:
            write_atomically(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
