"""The house: which rooms there are, in which order they may import each other, and what some of them never know."""

import ast
import re
from itertools import pairwise

import pytest
from places import PROJECT

# From the ground up. A room imports itself and rooms before it. A module that stands beside rooms is a room of its own.
ROOMS = (
    *(
        "imaging/axes",
        "imaging/errors",
        "imaging/writing",
        "imaging/locking",
        "imaging/typing",
        "imaging/options",
        "imaging/parallel",
    ),
    *(
        "imaging/files",
        "imaging/formats",
        "imaging/readers",
        "imaging/image",
        "imaging/microstructure",
        "imaging/ways",
        "imaging/shapes",
        "imaging/recognition",
        "imaging/measures",
        "imaging/volumes",
        "imaging/deblurring",
        "imaging/columns",
        "imaging/segmentation",
    ),
    *("meshing/mesh", "meshing/distribution", "meshing/fidelity", "meshing/local_sizes", "meshing/fitted"),
    *("meshing/lattice", "meshing/voxel", "meshing/methods"),
    *("solver/options", "solver/keeping", "solver/linear", "solver/physics", "solver/interfaces", "solver/problem"),
    *(
        "solver/surfaces",
        "solver/conduction",
        "solver/cubes",
        "solver/krylov",
        "solver/regions",
        "solver/times",
        "solver/steps",
        "solver/flows",
        "solver/transient",
        "solver/guard",
    ),
    *(
        "workflow/console",
        "workflow/schema",
        "workflow/storage",
        "workflow/case",
        "workflow/prepare",
        "workflow/results",
        "workflow/checkpoints",
    ),
    *(
        "workflow/rendering",
        "workflow/pictures",
        "workflow/scene",
        "workflow/report",
        "workflow/viewer",
        "workflow/export",
    ),
    *("workflow/voxel_conduction", "workflow/studies", "workflow/estimate", "workflow/run"),
    *(
        "workflow/measurements",
        "workflow/analysis",
        "workflow/segment",
        "workflow/comparison",
        "workflow/sweep",
        "workflow/job",
        "workflow/fit",
        "workflow/commands",
        "workflow/cli",
    ),
)
FLOORS = tuple(dict.fromkeys(room.split("/")[0] for room in ROOMS))
# What a floor never imports, whatever the order says
NEVER = {
    "imaging": r"microlith\.(meshing|solver|workflow)|dolfinx|gmsh|basix|ufl|petsc4py",
    "meshing": r"microlith\.(solver|workflow)|petsc4py",
    # No pixels: of imaging only what knows none
    "solver": r"microlith\.workflow|microlith\.imaging\.(?!axes|errors|typing|parallel)|"
    r"microlith\.meshing\.(?!mesh\b)|gmsh",
}
# Only one module names a mesher: the rest asks its table for the method of the case.
MESHERS = r"microlith\.meshing\.(fitted|lattice|voxel|distribution\.(in_place|partitioned))\b"
MOST = 15  # files in a room: more are two rooms


def modules():
    return {
        "microlith." + ".".join(path.relative_to(PROJECT).with_suffix("").parts): path
        for floor in FLOORS
        for path in (PROJECT / floor).rglob("*.py")
        if path.stem != "__init__"
    }


def room_of(name):
    """Room of a module, given by its full name."""
    parts = name.split(".")[1:]
    return "/".join(parts[:2])


def imported(path):
    """Full names that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports(path):
    """Modules of the project that a file imports."""
    known = modules()
    found = imported(path)
    return {name for name in found | {name.rpartition(".")[0] for name in found} if name in known}


def test_every_module_is_in_a_room_of_the_list():
    known = modules()
    assert len(known) > 150
    assert {room_of(name) for name in known} == set(ROOMS)
    assert "microlith.solver.physics.phases" in imports(known["microlith.solver.problem.problem"])


@pytest.mark.parametrize("name", modules())
def test_rooms_import_only_rooms_before_them(name):
    known = modules()
    for other in imports(known[name]):
        assert ROOMS.index(room_of(other)) <= ROOMS.index(room_of(name)), f"{name} imports {other}"


@pytest.mark.parametrize("floor", NEVER)
def test_floors_do_not_know_what_is_not_theirs(floor):
    for name, path in modules().items():
        if name.split(".")[1] == floor:
            known = [other for other in imported(path) if re.match(NEVER[floor] + r"", other)]
            assert not known, f"{name} imports {known}"


def test_only_the_table_of_methods_names_a_mesher():
    naming = {
        name
        for name, path in modules().items()
        if room_of(name) not in ("meshing/fitted", "meshing/lattice", "meshing/voxel")
        and any(re.match(MESHERS, other) for other in imported(path))
    }
    assert naming == {"microlith.meshing.methods"}


def test_no_cycles_within_rooms():
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


def test_rooms_are_small_and_floors_stay_together():
    for room in ROOMS:
        assert len(list((PROJECT / room).glob("*.py"))) <= MOST + 1, f"{room} is two rooms"
    floors = [room.split("/")[0] for room in ROOMS]
    assert sum(a != b for a, b in pairwise(floors)) == len(FLOORS) - 1


def test_init_files_are_nearly_empty_and_all_is_typed():
    for floor in FLOORS:
        assert (PROJECT / floor / "py.typed").exists()
        for path in (PROJECT / floor).rglob("__init__.py"):
            statements = ast.parse(path.read_text(encoding="utf-8")).body
            assert [type(s) for s in statements] == [ast.Expr], path  # its docstring
        assert not list((PROJECT / floor).rglob("utils.py"))


def test_front_door_is_the_last():
    """What `import microlith` gives stands on all floors, and no floor knows it."""
    for name, path in modules().items():
        assert not any(re.match(r"microlith\.api\b", other) for other in imported(path)), (
            f"{name} imports the front door"
        )
    assert {path.name for path in (PROJECT / "microlith").glob("*.py")} == {"__init__.py", "api.py"}
