"""The house: rooms stand one above the other, and nothing lies about in the hall."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

from tests.support.rooms import FILES, FLOOR_OF, HOUSE, circles, imported_modules, upward

IMPORTS = {module: imported_modules(module) for module in FILES}


def test_rooms_import_only_from_lower_floors():
    assert upward(IMPORTS) == []


def test_no_files_import_each_other_in_a_circle():
    assert circles(IMPORTS) == []


def test_what_is_wrong_is_found():
    up = {"captum_fv.core.files": {"captum_fv.attr.pair"}, "captum_fv.attr.pair": set()}
    assert upward(up) == ["captum_fv.core.files imports captum_fv.attr.pair"]
    assert upward({"captum_fv.data.lfw": {"captum_fv.siamese.model"}})
    assert upward({"captum_fv.data.lfw": {"captum_fv.__init__"}})
    assert not upward({"captum_fv.attr.pair": {"captum_fv.core.files", "captum_fv.attr.xcos"}})
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == [["b", "c"], ["d"]]


def test_nothing_but_rooms_at_the_top():
    found = {path.name for path in HOUSE.iterdir() if path.name != "__pycache__"}
    assert found == {"__init__.py", "__main__.py", "py.typed", *FLOOR_OF}


def test_no_module_shares_its_name_with_something_public():
    """`import a.rates as m` would otherwise give the function `a.rates`, and not the module."""
    for name in sorted(FILES.keys() - {"captum_fv.__main__"}):
        try:
            module = importlib.import_module(name.removesuffix(".__init__"))
        except ImportError as error:  # an adapter whose toolkit is missing
            if not name.startswith("captum_fv.adapters.") or "pip install" not in str(error):
                raise
            continue
        _, _, last = module.__name__.rpartition(".")
        for key, value in vars(module).items():
            if not key.startswith("_") and not inspect.ismodule(value):
                path = f"{module.__name__}.{key}"
                assert key != last, name
                assert not {path, f"{path}.__init__"} & FILES.keys(), name


def test_importing_the_package_is_quick():
    """What few calls need is imported by those calls: 0.6 s of 0.7 were theirs, after torch's."""
    asked = "import sys, torch, captum.attr, captum.robust; before = set(sys.modules)"
    asked += "; import captum_fv; captum_fv.SiameseCosine"
    asked += "; print(*(sys.modules.keys() - before), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert "captum_fv.report.write" in run.stdout.split()
    assert not {"scipy", "skimage", "pyarrow", "huggingface_hub"} & set(run.stdout.split())
