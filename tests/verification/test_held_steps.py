"""Surfaces that hold different concentrations up to where they meet, and phases that do at one surface."""

import numpy as np
import pytest
from made_cases import transport, write_case

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.run.solved import solved

WIDTH = 1280.0  # nm, of a square that two sources feed from below, each along its half
COMM = MPI.COMM_WORLD
RIGHT = '[phases.right]\nlabel = 1\nrole = "source"\nconcentration = "200 mol/m^3"\n'
LEFT = '[phases.left]\nlabel = 0\nrole = "source"\nconcentration = "1000 mol/m^3"\n'
MEDIUM = transport("medium", 2, "1e-12 m^2/s") + transport("same", 3, "1e-12 m^2/s")
TWO_SOURCES = RIGHT + LEFT + MEDIUM
# In equilibrium the right one has a quarter of the concentration of the left, and moves four times as fast: the
# concentration of the left that both are in equilibrium with follows one equation, with 1000 and 4000 mol/m³ held.
TWO_PHASES = (
    LEFT.replace("= 0", "= [0, 1]") + transport("medium", 2, "1e-12 m^2/s") + transport("other", 3, "4e-12 m^2/s")
)
PARTITION = '[[interfaces]]\nbetween = ["medium", "other"]\npartition = 0.25\n'
STEPS = {"two sources": (TWO_SOURCES, "", 200.0), "two phases": (TWO_PHASES, PARTITION, 4000.0)}


def _mean(left, right):
    """Steady mean of the left half of a square, no flux through its other sides: a cosine series."""
    n = np.arange(1, 20001, 2)
    return (left + right) / 2 + (left - right) * np.sum(4 * np.tanh(n * np.pi) / (n * np.pi) ** 3)


def _found(folder, pixels, phases, more="", *, method, degree, dim=2, comm=MPI.COMM_SELF):
    image = np.full((pixels + 1, pixels), 2, np.uint8)
    image[:, pixels // 2 :] = 3
    image[0] = np.arange(pixels) >= pixels // 2
    half = f"{WIDTH / 2:g} nm"
    path = on_first_rank(
        COMM,
        lambda: write_case(
            folder,
            image if dim == 2 else np.repeat(image[:, None], 3, axis=1),
            voxel=f"{WIDTH / pixels:g} nm",
            phases=phases,
            mesh=f'[mesh]\nmethod = "{method}"\ndegree = {degree}\n',
            time='[time]\nend = "20 s"\ntimes = ["20 s"]\ntolerance = 1e-7\nsnapshots = []\n',
            regions=f'[regions.half]\nbox = {{ x = ["0 nm", "{half}"] }}\n',
            more=more,
        ),
    )
    return float(solved(load_case(path), comm).transient.curves["half"][-1])


@pytest.mark.parametrize(("phases", "more", "right"), STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(
    ("method", "degree", "dim", "least"),
    [("voxel", 1, 2, 1.6), ("voxel", 2, 2, 1.6), ("voxel", 1, 3, 1.6), ("lattice", 1, 3, 1.5), ("lattice", 2, 3, 1.5)],
)
def test_order_beside_a_step(tmp_path, verified, phases, more, right, method, degree, dim, least):
    """The mean of one half errs by the square of the elements' size; by the size if the step were one side's."""
    expected = _mean(1000.0, right)
    errors = [
        abs(_found(tmp_path / str(n), n, phases, more, method=method, degree=degree, dim=dim) - expected)
        for n in (8, 16)
    ]
    order = float(np.log2(errors[0] / errors[1]))
    verified(
        term="concentrations held side by side", against="cosine series of a square", dim=dim,
        cells={"voxel": ("squares", "cubes")[dim - 2], "lattice": "tetrahedra"}[method],
        degree=degree, error=errors[1] / max(1000.0, right), order_space=order,
    )  # fmt: skip
    assert order > least, errors


@pytest.mark.parametrize(("phases", "more", "right"), STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(("degree", "most"), [(1, 1e-3), (2, 3e-4)])
def test_beside_a_step_on_triangles(tmp_path, verified, phases, more, right, degree, most):
    """Of other lengths on both sides of the step; with one side's value there errors are 20 to 50 times as large."""
    found = _found(tmp_path, 16, phases, more, method="fitted", degree=degree)
    error = abs(found - _mean(1000.0, right)) / max(1000.0, right)
    verified(
        term="concentrations held side by side", against="cosine series of a square", dim=2, cells="triangles",
        degree=degree, error=error,
    )  # fmt: skip
    assert error < most


def test_a_sink_gives_way_to_what_is_held(tmp_path):
    """Beside it, whichever comes first in the case: else the sink's end of the held surface is half an element off."""
    sink = '[phases.right]\nlabel = 1\nrole = "sink"\nuptake = "5e-6 m/s"\n'
    found = [
        _found(tmp_path / name, 8, phases, method="voxel", degree=1)
        for name, phases in (("first", sink + LEFT + MEDIUM), ("last", LEFT + sink + MEDIUM))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert found[0] == pytest.approx(748.3, abs=25), "squares of degree 2, 128 in a row; not 685"


@pytest.mark.mpi
def test_ranks_and_the_order_of_phases_change_nothing(tmp_path_factory):
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("steps"))
    found = [
        _found(folder / name, 8, phases, method="voxel", degree=2, comm=comm)
        for name, phases, comm in (
            ("together", TWO_SOURCES, COMM),
            ("turned", LEFT + RIGHT + MEDIUM, COMM),
            ("alone", TWO_SOURCES, MPI.COMM_SELF),
        )
    ]
    assert found[1:] == pytest.approx([found[0]] * 2, rel=1e-9)
