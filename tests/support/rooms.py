"""The house in figures: `python -m tests.support.rooms` prints what imports what.

A room is a package, or a file at the top. Only what a file's own text imports counts, also within
functions, and not the packages that Python runs on the way to a module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2] / "captum_fv"
FLOORS = (
    *("core", "siamese data", "models metrics", "attr", "benchmark"),
    *("report adapters", "explain", "cli"),
)
FLOOR_OF = {room: i for i, rooms in enumerate(FLOORS) for room in rooms.split()}
FILES = {  # module -> file
    ".".join(["captum_fv", *path.relative_to(HOUSE).with_suffix("").parts]): path
    for path in sorted(HOUSE.rglob("*.py"))
}
Graph = dict[str, set[str]]


def imported_modules(module: str) -> set[str]:
    """The modules of this package that a file imports; a package is its `__init__`."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            start = ".".join([*package, *filter(None, [node.module])])
            names = [(f"{start}.{alias.name}", start) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.name,) for alias in node.names]
        else:
            continue
        for candidates in names:
            tried = [form for name in candidates for form in (name, f"{name}.__init__")]
            found |= set([name for name in tried if name in FILES][:1])
    return found - {module}


def room_of(module: str) -> str:
    """`data.generated` of `captum_fv.data.generated.canvas`; a file at the top is its own room."""
    _, *parts = module.split(".")
    return ".".join(parts[:-1]) or parts[0]


def between_rooms(files: Graph) -> Graph:
    """Arrows between rooms, of the arrows between their files."""
    rooms: Graph = {room_of(module): set() for module in files}
    for module, others in files.items():
        rooms[room_of(module)] |= {room_of(other) for other in others} - {room_of(module)}
    return rooms


def upward(files: Graph) -> list[str]:
    """Imports between the rooms of `FLOORS` that do not lead to a lower floor."""
    return [
        f"{module} imports {other}"
        for module, others in files.items()
        for other in sorted(others)
        if (here := module.split(".")[1]) in FLOOR_OF
        and (there := other.split(".")[1]) != here
        and FLOOR_OF.get(there, len(FLOORS)) >= FLOOR_OF[here]
    ]


def reached(graph: Graph, starts: Iterable[str]) -> set[str]:
    """Everything that arrows lead to."""
    found: set[str] = set()
    new = set(starts)
    while new:
        found |= new
        new = set().union(*(graph[node] for node in new)) - found
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Groups whose members all reach each other."""
    reach = {node: reached(graph, graph[node]) for node in graph}
    groups = {
        tuple(sorted(other for other in reach[node] if node in reach[other]))
        for node in graph
        if node in reach[node]
    }
    return [list(group) for group in sorted(groups)]


def floors(graph: Graph) -> dict[str, int]:
    """The longest way down from each node, itself included; a circle stands on one floor."""
    together = {node: set(group) for group in circles(graph) for node in group}
    found: dict[str, int] = {}

    def floor(node: str) -> int:
        if node not in found:
            group = together.get(node, {node})
            below = set().union(*(graph[member] for member in group)) - group
            found[node] = 1 + max(map(floor, below), default=0)
        return found[node]

    return {node: floor(node) for node in graph}


def main() -> None:
    """Print the figures of all rooms, the highest first."""
    files = {module: imported_modules(module) for module in FILES}
    rooms = between_rooms(files)
    floor = floors(rooms)
    print(f"{len(rooms)} rooms on {max(floor.values())} floors, {arrows(rooms)} between rooms")
    print(f"{len(files)} files on {max(floors(files).values())} floors, {arrows(files)}")
    lines = dict.fromkeys(rooms, 0)
    for module, path in FILES.items():
        lines[room_of(module)] += len(path.read_text(encoding="utf-8").splitlines())
    print(f"{'floor':>5} {'lines':>6}  room")
    for room in sorted(rooms, key=lambda room: (-floor[room], room)):
        print(f"{floor[room]:5} {lines[room]:6}  {room:15} <- {', '.join(sorted(rooms[room]))}")
    for title, found in (
        ("imports upward", upward(files)),
        ("circles of rooms", [", ".join(group) for group in circles(rooms)]),
        ("circles of files", [", ".join(group) for group in circles(files)]),
    ):
        print(f"{title}:", *(found or ["none"]), sep="\n  ")


def arrows(graph: Graph) -> str:
    return f"{sum(map(len, graph.values()))} arrows"


if __name__ == "__main__":
    main()
