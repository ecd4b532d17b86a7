"""The import contract: a room imports downwards only, no files import each other in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

FLOORS = [
    {"children", "deferred", "interruption", "lazy", "memory_errors", "plain_text", "telemetry"},
    {"compiler_stand_ins", "shared_processor", "tracking_errors"},
    {"errors", "files", "imports", "progress", "provenance", "quiet"},
    {"schemas"},
    {"states", "next_command", "pages", "product", "database"},
    {"claims", "jobs", "precision"},
    {"transforms", "metrics", "networks", "losses", "layout"},
    {"bundle"},
    {"data"},
    {"planning"},
    {"tracking"},
    {"doctor"},
    {"inference"},
    {"dicom"},
    {"evaluation", "pacs", "serving", "watching"},
    {"comparing"},
    {"training"},
    {"explanation", "pretraining", "searching"},
    {"sharing"},
    {"federating", "papers"},
    {"commands"},
    {"cli"},
]
"""The rooms of ``pipeline`` and ``transforms``, the ground floor first."""
PURE = {"metrics", "networks", "losses", "transforms"}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SOURCES = [*sorted(ROOT.glob("pipeline/**/*.py")), *sorted(ROOT.glob("transforms/*.py"))]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "transforms" else parts[1] if len(parts) > 1 else ""


def imports_of(path: Path, everywhere: bool) -> Iterator[str]:
    """Yield the project's modules that a file imports, at its top or anywhere."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in whole]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in ("pipeline", "transforms"))


MODULES = {module_of(path) for path in SOURCES}


def test_every_room_has_a_floor():
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_room_imports_downwards_only(path):
    room = room_of(module_of(path))
    for module in imports_of(path, everywhere=True):
        other = room_of(module)
        if room and other and other != room:
            assert FLOOR[other] < FLOOR[room], f"{room} imports {module}"
            assert room not in PURE or (other in PURE and FLOOR[other] < FLOOR[room]), module


def test_no_files_import_each_other_in_a_circle():
    graph = {module_of(path): set(imports_of(path, everywhere=False)) for path in SOURCES}
    for module, others in graph.items():
        others.discard(module)
        # a package's own files do not wait for what its __init__ gathers
        others -= {other for other in others if module.startswith(f"{other}.")}
    assert list(TopologicalSorter(graph).static_order())
