"""The flow of imports is one-way: meshing knows nothing of solver and workflow, solver nothing of workflow."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("meshing", "solver", "workflow")
SHARED_WITH_SOLVER = {
    "microlith.meshing.mesh.phasemesh",
    "microlith.imaging.errors",
    "microlith.imaging.parallel.collective",
}


def modules():
    return {f"microlith.{package}.{path.stem}": path for package in PACKAGES for path in (ROOT / package).glob("*.py")}


def imports(path):
    """Modules of the project that a file imports, anywhere in it, as full names."""
    package = f"microlith.{path.parent.name}"
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2, f"{path}: a relative import that leaves its package"
            base = ".".join(part for part in (package if node.level else "", node.module or "") if part)
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in found if name in modules()}


def test_every_package_is_looked_at():
    assert len(modules()) > 40
    assert "microlith.solver.physics.phases" in imports(ROOT / "solver" / "problem.py")
    assert "microlith.meshing.mesh.phasemesh" in imports(ROOT / "solver" / "problem.py")


@pytest.mark.parametrize("name", modules())
def test_imports_flow_one_way(name):
    package = name.split(".")[1]
    for other in imports(modules()[name]):
        assert PACKAGES.index(other.split(".")[1]) <= PACKAGES.index(package), f"{name} imports {other}"
        if package == "solver" and other.startswith("microlith.meshing"):
            assert other in SHARED_WITH_SOLVER, f"{name} imports {other}"


def test_no_cycles():
    graph = {name: imports(path) for name, path in modules().items()}
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_init_files_are_nearly_empty_and_all_is_typed():
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists()
        statements = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8")).body
        assert [type(s) for s in statements] == [ast.Expr]  # its docstring
        assert not (ROOT / package / "utils.py").exists()
