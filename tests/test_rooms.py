"""The order of the rooms: a lower one never imports a higher one, and files form no circle."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src"
#: From the lowest.
ORDER = """
codes quantization ranks evaluation collections rowfiles images datasets learning encoders ingest
searching
duplicates judging reports demo experiments serving cli
""".split()  # noqa: SIM905
#: Two files that are one idea, cut where an optional library begins.
HALVES = [
    {"evaluation._backend", "evaluation._torch_backend"},
    {"learning.hasher", "learning.model_file"},
]


def _modules() -> dict[str, Path]:
    files = {p: ".".join(p.relative_to(SRC).with_suffix("").parts) for p in SRC.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in files.items()}


def _imports(path: Path, known: dict[str, Path], *, for_types: bool) -> set[str]:
    """Modules of ours that a file imports, wherever in it."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in known else str(node.module) for name in full)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return {name for name in found if name in known}


def test_no_room_imports_a_higher_one() -> None:
    known = _modules()
    place = {room: number for number, room in enumerate(ORDER)}
    wrong, rooms = [], set()
    for name, path in known.items():
        parts = name.split(".")
        if len(parts) < 2 or not (SRC / "h2q" / parts[1]).is_dir():
            continue
        if parts[1] in ("bulk", "indexing", "interchange"):  # old names
            continue
        rooms.add(parts[1])
        assert parts[1] in place, f"{parts[1]} is a new room: say where it stands"
        for other in _imports(path, known, for_types=True):
            target = other.split(".")[1:2]
            above = [t for t in target if t in place and place[t] > place[parts[1]]]
            if above or other == "h2q":
                wrong.append(f"{name} imports {other}")
    assert not wrong
    assert {"codes", "rowfiles", "ingest", "cli"} <= rooms


def test_files_form_no_circle() -> None:
    known = _modules()
    graph = {name: _imports(path, known, for_types=False) - {name} for name, path in known.items()}
    for a, b in HALVES:
        graph[f"h2q.{a}"] -= {f"h2q.{b}"}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
