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
        ("[phases.matrix]", "[phases.other]", "label"),
    ):
        with pytest.raises(InputError) as error:
            load_case(case_of(folder, CASE.replace(old, new), "bad.toml"))
        assert words in str(error.value)
    (folder / "bad.msh").write_text("no mesh")
    with pytest.raises(InputError, match="can't be read as a mesh"):
        load_case(case_of(folder, CASE.replace("ball.msh", "bad.msh"), "bad.toml"))
