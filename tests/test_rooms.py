"""The house: rooms stand one above the other, and nothing lies about in the hall."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import captum_fv

HOUSE = Path(captum_fv.__file__).parent
FLOORS = ("core", "siamese data", "models metrics", "attr", "benchmark", "report", "cli")
FLOOR_OF = {room: i for i, rooms in enumerate(FLOORS) for room in rooms.split()}
FILES = [path.relative_to(HOUSE) for path in HOUSE.rglob("*.py")]


def imported_rooms(file: Path) -> set[str]:
    """The rooms that a file imports from, within functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse((HOUSE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("captum_fv.")}


def test_rooms_import_only_from_lower_floors():
    for file in FILES:
        if (room := file.parts[0]) in FLOOR_OF:
            allowed = {other for other, floor in FLOOR_OF.items() if floor < FLOOR_OF[room]}
            assert imported_rooms(file) <= allowed | {room}, file


def test_nothing_but_rooms_at_the_top():
    found = {path.name for path in HOUSE.iterdir() if path.name != "__pycache__"}
    assert found == {"__init__.py", "__main__.py", "py.typed", *FLOOR_OF}


def test_no_module_hides_something_public_of_its_name():
    """`import a.rates as m` would otherwise give the function `a.rates`, and not the module."""
    modules = {".".join(["captum_fv", *file.with_suffix("").parts]) for file in FILES}
    for name in sorted(modules - {"captum_fv.__main__"}):
        module = importlib.import_module(name.removesuffix(".__init__"))
        for public, value in vars(module).items():
            if not public.startswith("_") and not inspect.ismodule(value):
                assert f"{module.__name__}.{public}" not in modules, name


def test_importing_the_package_is_quick():
    """What few calls need is imported by those calls: 0.6 s of 0.7 were theirs, after torch's."""
    asked = "import sys, torch, captum.attr, captum.robust; before = set(sys.modules)"
    asked += "; import captum_fv; print(*(sys.modules.keys() - before), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert "captum_fv" in run.stdout.split()
    assert not {"scipy", "skimage", "pyarrow", "huggingface_hub"} & set(run.stdout.split())
