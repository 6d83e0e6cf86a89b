"""Meshes of other programs: a sphere in a box by gmsh against Crank's closed form, in every format, on any ranks."""

import subprocess
import sys

import numpy as np
import pytest
from closed_forms import sphere_mean
from made_cases import curves, run_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble
from microlith.workflow.storage.foreign_mesh import read_foreign

COMM = MPI.COMM_WORLD
RADIUS, D = 1e-6, 1e-14  # m, m^2/s
CASE = """
[phases.matrix]
role = "source"
concentration = "1000 mol/m^3"
[phases.ball]
role = "transport"
diffusivity = "1e-14 m^2/s"
[mesh]
file = "ball.msh"
unit = "1 um"
degree = 2
estimate = false
[time]
end = "40 s"
times = ["2 s", "5 s", "10 s", "20 s", "40 s"]
snapshots = []
"""


@pytest.fixture(autouse=True)
def few_voxels(monkeypatch):
    """The grid beside the mesh decides about no number here."""
    monkeypatch.setattr("microlith.workflow.storage.foreign_mesh.VOXELS", {2: 4_000, 3: 30_000})


def made(folder, size=0.22):
    """A ball of 1 in a cube of 2.6, each a physical group."""
    import gmsh

    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        model = gmsh.model.occ
        box, ball = model.addBox(0, 0, 0, 2.6, 2.6, 2.6), model.addSphere(1.3, 1.3, 1.3, 1.0)
        model.fragment([(3, box)], [(3, ball)])
        model.synchronize()
        parts = sorted(gmsh.model.getEntities(3), key=lambda part: model.getMass(*part))
        gmsh.model.addPhysicalGroup(3, [parts[0][1]], 7, name="ball")
        gmsh.model.addPhysicalGroup(3, [parts[1][1]], 3, name="matrix")
        gmsh.option.setNumber("Mesh.MeshSizeMax", size)
        gmsh.model.mesh.generate(3)
        gmsh.write(str(folder / "ball.msh"))
    finally:
        gmsh.finalize()
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return on_first_rank(COMM, lambda: made(tmp_path_factory.mktemp("ball")))


def case_of(folder, text=CASE, name="case.toml"):
    def write():
        (folder / name).write_text(text)
        return folder / name

    return on_first_rank(COMM, write)


@pytest.mark.mpi
def test_a_ball_fills_as_crank_says(folder):
    """Within what the facets take off the ball: its radius counts as that of a ball of the mesh's volume."""
    found = curves(run_case(case_of(folder), folder / "results"))
    import meshio

    mesh = meshio.read(folder / "ball.msh")
    tags = np.concatenate(mesh.cell_data["gmsh:physical"])[-len(mesh.cells_dict["tetra"]) :]
    corners = mesh.points[mesh.cells_dict["tetra"][tags == 7]]
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])).sum() / 6
    radius = (volume * 3 / (4 * np.pi)) ** (1 / 3) * 1e-6
    exact = 1000 * sphere_mean(found["time_s"], radius, D)
    assert abs(found["ball"] - exact).max() < 4e-3 * 1000
    assert abs(found["ball"] - 1000 * sphere_mean(found["time_s"], 2 * RADIUS, D)).max() > 0.2 * 1000, "unit counts"


def test_a_case_file_is_read_without_petsc_and_in_silence(folder):
    """One rank reads it; PETSc starts on all ranks together, and would wait there for the others for ever."""
    code = "import sys; from pathlib import Path; from microlith.workflow.case.read import load_case\n"
    code += "load_case(Path(sys.argv[1])); assert 'petsc4py' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code, str(case_of(folder))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("suffix", [".xdmf", ".vtu", ".med", ".inp"])
def test_other_formats_by_tag_or_name(folder, suffix):
    """The same cells and phases as from .msh."""
    import meshio

    mesh = meshio.read(folder / "ball.msh")
    tags = np.concatenate(mesh.cell_data["gmsh:physical"])[-len(mesh.cells_dict["tetra"]) :].astype(np.int32)
    cells = [("tetra", mesh.cells_dict["tetra"])]
    text = CASE.replace("ball.msh", f"ball{suffix}")
    if suffix == ".inp":
        sets = {name: [np.flatnonzero(tags == tag)] for name, tag in (("ball", 7), ("matrix", 3))}
        other = meshio.Mesh(mesh.points, cells, cell_sets=sets)
    else:
        other = meshio.Mesh(mesh.points, cells, cell_data={"cell_tags" if suffix == ".med" else "phase": [tags]})
        text = text.replace("[phases.ball]", "[phases.ball]\nlabel = 7").replace(
            "[phases.matrix]", "[phases.matrix]\nlabel = 3"
        )
    other.write(folder / f"ball{suffix}")
    one, same = (
        assemble.mesh(load_case(case_of(folder, some, name)), None, MPI.COMM_SELF, show=False)
        for some, name in ((CASE, "case.toml"), (text, f"case{suffix}.toml"))
    )
    assert one.cells == same.cells > 1000
    assert one.mesh.extent == pytest.approx(same.mesh.extent)


def test_refused(folder):
    for old, new, words in (
        ('unit = "1 um"\n', "", "the unit of the coordinates in file is missing"),
        ("ball.msh", "none.msh", "there is no file"),
        (
            "[phases.matrix]",
            "[phases.other]",
            'no group "other"; name it as one of its groups, ball, matrix,',
        ),
        ("ball.msh", "ball.vtk", "expected a mesh of another program (.msh,"),
    ):
        with pytest.raises(InputError) as error:
            load_case(case_of(folder, CASE.replace(old, new), "bad.toml"))
        assert words in str(error.value)
    (folder / "bad.msh").write_text("no mesh")
    with pytest.raises(InputError, match="can't be read as a mesh"):
        load_case(case_of(folder, CASE.replace("ball.msh", "bad.msh"), "bad.toml"))


# Two triangles each in the left and the right half of a rectangle of 2 x 1
CORNERS = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]], float)
LEFT, RIGHT = [[0, 1, 4], [0, 4, 3]], [[1, 2, 5], [1, 5, 4]]


def read(folder, name, points, triangles, **data):
    import meshio

    meshio.Mesh(np.column_stack([points, np.zeros(len(points))]), [("triangle", triangles)], **data).write(
        folder / name
    )
    return read_foreign(folder / name, 1e-6)


@pytest.mark.parametrize("off", [0.0, 1e-9])
def test_points_that_parts_have_each_for_itself_are_one(tmp_path, off):
    """As of programs that mesh parts one by one: nothing passed between them, without a word."""
    points = np.vstack([CORNERS, CORNERS[[1, 4]] + off])
    apart = np.array(RIGHT)
    apart[apart == 1], apart[apart == 4] = 6, 7
    found = read(tmp_path, "two.vtu", points, np.array([*LEFT, *apart]), cell_data={"phase": [np.array([1, 1, 2, 2])]})
    assert len(found.points) == 6
    assert len(set(found.cells[:2].ravel()) & set(found.cells[2:].ravel())) == 2


def test_parts_that_do_not_share_facets_are_refused(tmp_path):
    """The right half has a point more between the two."""
    points = np.vstack([CORNERS, [[1, 0.5]]])
    triangles = np.array([*LEFT, [1, 2, 6], [6, 2, 5], [6, 5, 4]])
    with pytest.raises(InputError, match="3 edges of cells within the box have a cell on one side only"):
        read(tmp_path, "two.vtu", points, triangles, cell_data={"phase": [np.array([1, 1, 2, 2, 2])]})


def test_what_is_not_flat_or_has_other_cells_is_refused(tmp_path):
    """A rectangle that rises at 45 degrees was solved as its shadow, one across x and z ended in an internal error."""
    import meshio

    x, y = CORNERS.T
    four = [("triangle", [*LEFT, *RIGHT])]
    halves = [("triangle", LEFT), ("quad", [[1, 2, 5, 4]])]
    for points, cells, words in (
        ((x, y, y), four, "the triangles lie between z = 0 and 1; expected a flat mesh in x and y"),
        ((x, 0 * y, y), four, "the triangles lie between z = 0 and 1"),
        ((x, 0 * y, 0 * y), four, "the points lie on a line along the axes"),
        ((x, y, 0 * y), halves, "expected triangles or tetrahedra alone, got quad, triangle"),
        ((x, y, x * y), [("tetra", [[0, 1, 3, 5]]), ("pyramid", [[0, 1, 2, 3, 4]])], "got pyramid, tetra"),
    ):
        tags = {"phase": [np.ones(len(some), int) for _, some in cells]}
        meshio.Mesh(np.column_stack(points), cells, cell_data=tags).write(tmp_path / "bad.vtu")
        with pytest.raises(InputError, match=words):
            read_foreign(tmp_path / "bad.vtu", 1e-6)
    meshio.Mesh(np.column_stack([x, y, 0 * y + 7]), four, cell_data={"phase": [np.ones(4, int)]}).write(
        tmp_path / "high.vtu"
    )
    assert read_foreign(tmp_path / "high.vtu", 1e-6).extent == pytest.approx((2e-6, 1e-6))


def test_cells_in_several_sets_are_of_each(tmp_path):
    """gmsh writes the parts of the geometry as element sets, too, beside those that have names."""
    sets = {"left": [np.array([0, 1])], "right": [np.array([2, 3])], "all": [np.arange(4)], "last": [np.array([3])]}
    found = read(tmp_path, "sets.inp", CORNERS, np.array([*LEFT, *RIGHT]), cell_sets=sets)
    held = {name: np.isin(found.tags, tags) for name, tags in found.names.items()}
    assert {name: cells.nonzero()[0].tolist() for name, cells in held.items()} == {
        "left": [0, 1],
        "right": [2, 3],
        "all": [0, 1, 2, 3],
        "last": [3],
    }


def test_tags_that_are_whole_floats_are_tags(tmp_path):
    data = {"temperature": [np.array([0.5, 1.0, 2.0, 3.0])], "material": [np.array([1.0, 1.0, 2.0, 2.0])]}
    found = read(tmp_path, "floats.vtu", CORNERS, np.array([*LEFT, *RIGHT]), cell_data=data)
    assert found.tags.tolist() == [1, 1, 2, 2]
    with pytest.raises(InputError, match="in no group"):
        read(tmp_path, "none.vtu", CORNERS, np.array([*LEFT, *RIGHT]), cell_data={"x": data["temperature"]})


def test_one_phase_takes_the_rest_of_the_tags(folder):
    text = CASE.replace("[phases.matrix]", '[phases.matrix]\nlabel = "rest"')
    found = assemble.mesh(load_case(case_of(folder, text, "rest.toml")), None, MPI.COMM_SELF, show=False)
    named = assemble.mesh(load_case(case_of(folder, CASE, "named.toml")), None, MPI.COMM_SELF, show=False)
    assert found.cells == named.cells
    with pytest.raises(InputError, match=r"no phase claims .*ball.msh"):
        assemble.mesh(
            load_case(case_of(folder, text.replace('"rest"', "4"), "other.toml")), None, MPI.COMM_SELF, show=False
        )
