"""Errors in space and time told from several solutions, and what moved interfaces do, against closed forms."""

import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import closed_forms
import numpy as np
import pytest
import tifffile
from label_images import label_volume
from made_cases import COMM, curves, run_case, table_rows, write_case
from made_meshes import brick, everywhere
from slab_case import END, LENGTH, PIXEL, REGIONS, SLAB, SPANS, D, filled, slab_image

from dolfinx.mesh import CellType
from mpi4py import MPI

import microlith as ml
from microlith.imaging.errors import InputError
from microlith.imaging.image.half_voxel import Shift, on_finer_voxels, shifted, subdivided
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.meshing.fitted.mesher import fitted_mesh
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.voxel import voxel_mesh
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box
from microlith.solver.steps.stage_matrix import LinearSolverFailed, StageMatrix
from microlith.solver.transient import solve
from microlith.workflow import cli
from microlith.workflow.case.read import load_case
from microlith.workflow.commands import studies
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.studies import converge as study_module, spatial_error as estimate_module
from microlith.workflow.studies.advice import advice_lines
from microlith.workflow.studies.richardson import convergence, enveloped
from microlith.workflow.studies.variant import Variant, solved_variant

T50 = 0.196732  # of a slab held at one side, in length²/D: mean 1/2 (Crank eq. 4.17)


def _slab_case(folder, mesh, tolerance=1e-10, first=0.02, more="", regions=REGIONS, rows=20):
    """The slab; curves from `first` L²/D on."""
    times = ", ".join(f'"{t:.9g} s"' for t in np.geomspace(first * LENGTH**2 / D, END, 60))
    time = f'[time]\nend = "{END:.9g} s"\ntolerance = {tolerance:g}\nsnapshots = []\ntimes = [{times}]\n'
    return write_case(
        folder, slab_image(rows), phases=SLAB, mesh=f"[mesh]\n{mesh}\n", time=time, regions=regions, more=more
    )


def _study(path, folder, comm=MPI.COMM_SELF, **asked):
    return study_module.converge(load_case(path), folder / "study", False, show=False, comm=comm, **asked)


# --- orders ---


@pytest.mark.parametrize("order", [0.7, 1.0, 1.6, 2.0, 2.7])
@pytest.mark.parametrize("sizes", [(2.0, 1.41, 1.0), (1.9, 1.5, 1.0), (4.0, 2.0, 1.0, 0.8)])
def test_orders_of_made_curves_are_found(order, sizes, verified):
    t = np.geomspace(1e-3, 1, 50)
    shape = t / (0.1 + t) ** 2 / 2.5  # largest 1, at 0.1
    made = np.array([np.tanh(t) + 1e-3 * h**order * shape + 1e-7 * h ** (order + 2) for h in sizes])
    found = convergence(np.array(sizes), made, degree=2)
    true = np.abs(made[-1] - np.tanh(t))
    error = found.error(sizes[-1])
    verified(
        term="Richardson extrapolation", against=f"made curves of order {order}", dim=1, cells="none", degree=2,
        error=abs(found.order - order), of="order", order_space=found.order,
    )  # fmt: skip
    assert found.order == pytest.approx(order, abs=0.01)
    assert (error >= true).all(), "the estimate bounds the error"
    assert error.max() < (2 if order <= 2 else 3) * true.max()
    if order <= 2:
        assert np.abs(found.limit - np.tanh(t)).max() < 0.7 * true.max()


def test_what_is_not_asymptotic_is_said_to_be_so():
    t = np.linspace(0, 1, 20)
    rng = np.random.default_rng(1)
    sizes = np.array([2.0, 1.41, 1.0])
    for made in (
        np.array([t, t + 0.01, t - 0.01]),  # back and forth
        np.array([t, t + 0.01, t + 0.02]),  # the changes don't fall
        t + 1e-3 * rng.standard_normal((3, 20)),
    ):
        found = convergence(sizes, made, degree=1)
        assert found.order is None
        assert found.power == 1
        assert found.error(1.0) == pytest.approx(np.abs(made[:2] - made[2]).max(axis=0))
    drowned = np.array([t, t + 1e-5, t + 1.5e-5])
    assert convergence(sizes, drowned, 1).order is not None
    assert convergence(sizes, drowned, 1, noise=1e-5).order is None
    with pytest.raises(ValueError, match="decreasing"):
        convergence(np.array([1.0, 1.0]), np.zeros((2, 3)), 1)


def test_an_estimate_is_not_believed_where_curves_cross():
    t = np.geomspace(1e-3, 1, 301)
    error = np.abs(np.log(t / 0.1))
    assert enveloped(t, error).min() == pytest.approx(np.log(2), rel=0.05)
    assert (enveloped(t, error) >= error).all()


@pytest.mark.parametrize("far", [1.5, 3.0, 10.0])
def test_differences_change_their_sign_between_few_times_as_well(far):
    """Where times are far apart none was near the one at which two curves crossed: it was told as good as exact."""
    t = np.array([0.0, 1 / far, 1, far])
    error = np.abs(np.log(np.maximum(t, 0.1 / far)))
    dense = np.geomspace(0.5, 2, 99) if far > 2 else np.geomspace(1 / far, far, 99)
    found = enveloped(t, np.stack([error, 2 * error]))
    np.testing.assert_allclose(found[1], 2 * found[0])
    assert found[0, 2] == pytest.approx(np.abs(np.log(dense)).max())
    assert found[0, 0] == error[0]  # nothing is near to 0
    assert enveloped(t[:2], error[:2])[1] == error[1]
    assert (found[0] >= error).all()
    assert enveloped(np.array([5.0]), np.array([3.0])) == [3.0]


# --- coarseness ---


def _ball(dim, size, radius):
    """A ball of phase 0, to be solved, in phase 1."""
    away = np.sqrt(sum((x + 0.5 - size / 2) ** 2 for x in np.indices((size,) * dim)))
    return (away >= radius).astype(np.uint8)


def _volume(phase, voxel=None, comm=COMM):
    return label_volume(phase, voxel or (PIXEL,) * phase.ndim, comm=comm)


def test_twice_as_coarse_in_2d_has_a_quarter_of_the_triangles():
    image = LabelImage(_ball(2, 120, 45), ("a", "b"), (PIXEL, PIXEL))
    for options in (MeshOptions(), MeshOptions(size={"b": 1.5 * PIXEL}, size_max=5 * PIXEL)):
        count = {}
        for k in (0.71, 1.0, 2.0):
            mesh = fitted_mesh(image, MeshOptions(**vars(options) | {"coarseness": k}), [0])
            count[k] = np.count_nonzero(mesh.phase == 0)
            points = mesh.points[mesh.cells[mesh.phase == 0]]
            u, v = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
            area = 0.5 * np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum()
            assert area == pytest.approx(np.count_nonzero(image.phase == 0), rel=1e-6)
        assert 3.2 < count[1.0] / count[2.0] < 4.6
        assert 1.7 < count[0.71] / count[1.0] < 2.3


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_twice_as_coarse_on_the_lattice(dim):
    volume = _volume(_ball(dim, 96 if dim == 2 else 36, 36 if dim == 2 else 14))
    count = {}
    for k in (1.0, 2.0):
        options = MeshOptions(size={"b": 2.0 * PIXEL}, size_max=4 * PIXEL, coarseness=k)
        parts = lattice_mesh(volume, options, [0], COMM)
        count[k] = COMM.allreduce(int(np.count_nonzero(parts.phase == 0)))
    assert 0.7 * 2**dim < count[1.0] / count[2.0] < 1.5 * 2**dim


@pytest.mark.parametrize("dim", [2, 3])
def test_a_factor_on_the_sizes_is_one_on_what_studies_coarsen(dim):
    """A mesh of a case with `size_factor` and the coarser one that it is compared with: both factors count."""
    phase = _ball(dim, 40 if dim == 2 else 20, 15 if dim == 2 else 8)
    sizes = MeshOptions(size={"b": 1.5 * PIXEL}, size_max=3 * PIXEL)
    counts = []
    for factors in ({"size_factor": 2.0}, {"size_factor": 1.25, "coarseness": 1.6}, {"coarseness": 2.0}, {}):
        options = replace(sizes, **factors)
        if dim == 2:
            parts = fitted_mesh(LabelImage(phase, ("a", "b"), (PIXEL, PIXEL)), options, [0])
        else:
            parts = lattice_mesh(_volume(phase, comm=MPI.COMM_SELF), options, [0], MPI.COMM_SELF)
        counts.append(np.count_nonzero(parts.phase == 0))
    assert counts[0] == counts[1] == counts[2] < counts[3] / 2


@pytest.mark.mpi
@pytest.mark.parametrize("pieces", [2, 3])
def test_voxels_are_cut_in_equal_pieces(pieces):
    volume = _volume(_ball(3, 11, 4))
    whole = voxel_mesh(volume, [0], COMM)
    fine = voxel_mesh(volume, [0], COMM, 1 / pieces)
    solved = [COMM.allreduce(int(np.count_nonzero(parts.phase == 0))) for parts in (whole, fine)]
    assert solved[1] == pieces**3 * solved[0]
    assert fine.unit == pytest.approx(whole.unit / pieces)
    assert np.array(fine.extent) * fine.unit == pytest.approx(np.array(whole.extent) * whole.unit)


# --- the study, against closed forms ---

MESHES = {
    "triangles, degree 1": ('size = { slab = "20 nm" }\nsize_max = "20 nm"\ndegree = 1', "triangles", 1),
    "triangles, degree 2": ('size = { slab = "40 nm" }\nsize_max = "40 nm"\ndegree = 2', "triangles", 2),
    "lattice, degree 1": (
        'method = "lattice"\nsize = { slab = "20 nm" }\nsize_max = "20 nm"\ndegree = 1', "triangles", 1,
    ),
    "squares, degree 1": ('method = "voxel"\ndegree = 1', "squares", 1),
}  # fmt: skip


@pytest.mark.parametrize("which", list(MESHES))
def test_errors_in_space_bound_the_true_ones(tmp_path, which, verified):
    mesh, cells, degree = MESHES[which]
    study = _study(_slab_case(tmp_path, mesh), tmp_path)
    times = study.base.times
    for name, found in study.regions.items():
        true = np.abs(study.base.relative[name] - filled(times, *SPANS[name]))
        ratio = found.largest / true.max()
        verified(
            term="error in space, three meshes", against="slab, Crank eq. 4.17", dim=2, cells=cells, degree=degree,
            error=abs(found.largest - true.max()), of="error", order_space=found.law.order,
            balance=max(outcome.imbalance for outcome in study.levels),
        )  # fmt: skip
        assert true.max() > 3 * study.base.error_in_time, "the error in space is what is measured"
        assert 1 <= ratio < 20, f"{name}: estimated {found.largest:.2e}, true {true.max():.2e}"
        assert np.mean(found.space + found.time >= true) > 0.95
    # Meshes made by gmsh are no family: of three of them, with some hundred cells, the orders scatter.
    orders = [found.law.order for found in study.regions.values()]
    assert min(orders) > 0.6 * (degree + 1)
    assert max(orders) > degree + 0.9
    assert max(outcome.imbalance for outcome in study.levels) <= 1e-8


@pytest.mark.parametrize("which", ["triangles, degree 1", "triangles, degree 2", "lattice, degree 1"])
def test_the_estimate_of_a_run_bounds_the_true_error(tmp_path, which, verified):
    mesh, cells, degree = MESHES[which]
    # From when the layer that has filled is as thin as an element. Later, where all is smooth, degree 2 converges with
    # the fourth power of the size, and an estimate that takes it to be the first is 15 times too large and more.
    results = run_case(_slab_case(tmp_path, mesh, first=1e-3), comm=MPI.COMM_SELF)
    summary = json.loads((results / "summary.json").read_text())
    table = curves(results)
    errors = np.genfromtxt(results / "errors.csv", delimiter=",", names=True, skip_header=3)
    assert (errors["time_s"] == table["time_s"]).all()
    for name, estimate in summary["error"]["space"]["regions"].items():
        true = np.abs(table[name] / 1000 - filled(table["time_s"], *SPANS[name]))
        verified(
            term="error in space, as stated", against="slab, Crank eq. 4.17", dim=2, cells=cells, degree=degree,
            error=abs(estimate - true.max()), of="error", balance=summary["mass_balance"]["imbalance"],
        )  # fmt: skip
        assert 1 <= estimate / true.max() < 20
        assert np.mean(errors[name] / 1000 >= true) > 0.95
        assert errors[name].max() / 1000 == pytest.approx(estimate + summary["error"]["estimate"], rel=1e-6)
    assert summary["error"]["space"]["estimate"] == max(summary["error"]["space"]["regions"].values())
    assert summary["mass_balance"]["imbalance"] <= 1e-8


@pytest.mark.parametrize(
    ("shape", "degree"),
    [((4, 4, 6), 1), ((4, 4, 6), 2), ((5, 12), 1), ((5, 12), 2)],
    ids=["3D, degree 1", "3D, degree 2", "2D, degree 1", "2D, degree 2"],
)
def test_meshes_that_cannot_be_coarser_leave_elements_of_another_degree(shape, degree, verified):
    """Three times the same mesh of few voxels told no error; three that are nearly so told a 25th of it."""
    length, span = shape[-1] * PIXEL, shape[-1] ** 2 * PIXEL**2 / D
    tables = {
        "image": {"voxel_size": f"{PIXEL} m"},
        "phases": {"slab": {"label": 0, "role": "transport", "diffusivity": f"{D} m^2/s"}},
        "faces": {"x_min": {"concentration": "1000 mol/m^3"}},
        "mesh": {"method": "lattice", "degree": degree},
        "time": {"end": f"{span} s", "first": f"{0.02 * span} s", "tolerance": 1e-6, "snapshots": []},
        "regions": {"slab": {"phase": "slab"}},
    }
    study = ml.converge(ml.case(tables, image=np.zeros(shape, np.uint8)), comm=MPI.COMM_SELF)
    assert len({outcome.cells for outcome in study.levels}) == 1
    found, times = study.regions["slab"], study.base.times
    exact = closed_forms.slab_mean(times, 0.0, length, length, D)
    true = np.abs(study.base.relative["slab"] - exact)[times > 0]
    verified(
        term="error in space, by elements of a degree more", against="slab, Crank eq. 4.17", dim=len(shape),
        cells="triangles" if len(shape) == 2 else "tetrahedra", degree=degree,
        error=abs(found.largest - true.max()), of="error", balance=study.base.imbalance,
    )  # fmt: skip
    assert 1 < found.largest / true.max() < 3
    assert (found.space[times > 0] >= true).all()
    assert found.law is None


def test_no_error_is_less_than_what_elements_of_a_degree_more_differ_by():
    def outcome(cells, curve):
        return SimpleNamespace(
            cells=cells, times=np.array([1.0, 10.0]), relative={"a": np.array(curve)}, error_in_time=0.0,
            holds={"a": 1.0}, reference=1.0,
        )  # fmt: skip

    coarse, middle, own = (outcome(n, [0.2, c]) for n, c in ((40, 0.502), (50, 0.499), (60, 0.501)))
    found = study_module._region(
        "a", [coarse, middle, own], own, outcome(60, [0.2, 0.54]), None, coarse, degree=1, dim=3
    )
    assert found.law.order is None
    assert found.space[-1] == pytest.approx(1.25 * 0.039)


def test_squares_of_degree_2_are_compared_with_degree_1(tmp_path):
    results = run_case(_slab_case(tmp_path, 'method = "voxel"\ndegree = 2', tolerance=1e-8), comm=MPI.COMM_SELF)
    space = json.loads((results / "summary.json").read_text())["error"]["space"]
    assert "degree 1" in space["how"]
    table = curves(results)
    true = np.abs(table["all"] / 1000 - filled(table["time_s"], *SPANS["all"])).max()
    assert true <= space["regions"]["all"]


def _coat():
    """A particle in a coat of four voxels, in a bath."""
    x = np.arange(20) - 9.5
    radius = np.sqrt(x[:, None, None] ** 2 + x[:, None] ** 2 + x**2)
    return np.select([radius < 4, radius < 8], [2, 1], 0).astype(np.uint8)


def test_what_a_mesh_twice_as_coarse_no_longer_follows_is_told_in_3d(tmp_path):
    """Half of the difference to that mesh was ten times the error and more, against a mesh twice as fine."""
    path = write_case(
        tmp_path,
        _coat(),
        mesh="[mesh]\ndegree = 2\n",
        time='[time]\nend = "2 s"\nfirst = "0.002 s"\ntolerance = 1e-3\nsnapshots = []\n',
        regions='[regions.near]\nshell = { around = "particle", distance = "20 nm" }\n[regions.all]\nphase = "sei"\n',
    )
    results = run_case(path, comm=MPI.COMM_SELF)
    space = json.loads((results / "summary.json").read_text())["error"]["space"]
    assert "1.4 times as coarse" in space["how"]
    meshed = mesh_of(load_case(path), (1,), Stages(), MPI.COMM_SELF)
    fine = solved_variant(meshed, Variant(coarseness=0.5), MPI.COMM_SELF)
    found = curves(results)
    late = fine.times >= 2e-3
    true = max(np.abs(found[name] - curve)[late].max() for name, curve in fine.curves.items())
    assert 1 / 3 < 1000 * space["estimate"] / true < 3


def _of_cells(case, *cells):
    """A lattice in 3D with these cells in its phases."""
    return SimpleNamespace(
        case=case,
        volume=SimpleNamespace(dim=3),
        method="lattice",
        cells=sum(cells),
        cells_of_phases=lambda: np.array(cells),
    )


def test_the_lesser_of_two_estimates_counts_in_3d(monkeypatch):
    times, own = np.array([1.0, 10.0, 100.0]), {"a": np.zeros(3)}
    asked = []

    def solved(_, variant, *__, **___):
        asked.append(variant)
        other = np.array([8.0, 4.0, 4.0]) if variant.degree == 1 else np.array([1.0, 1.0, 10.0])
        return SimpleNamespace(
            times=times, curves={"a": other}, particles=None, cells=cells, unknowns=1, phase_cells=found_in
        )

    monkeypatch.setattr(estimate_module, "solved_variant", solved)
    monkeypatch.setattr(estimate_module, "enveloped", lambda _, errors: errors)  # each time for itself
    case = SimpleNamespace(time=SimpleNamespace(tolerance=1e-3), mesh=SimpleNamespace(unit=None), degree=2)
    meshed = _of_cells(case, 8000)
    by_order = [0.64, 0.32, 0.422]  # more than twice as coarse, but for a part of what linear elements say
    same_size = [2, 1, 6.645]  # another mesh, and linear elements in the place of a coarser one
    half = [0.64, 0.5, 1.5]
    for ratio, told in ((2.5, by_order), (1.6, half), (1.2, [0.6645, 0.6645, 1.994]), (1.05, same_size)):
        cells = round(8000 / ratio**3)
        found_in = (cells,)
        found = estimate_module.spatial_error(meshed, own, MPI.COMM_SELF)
        assert found.curves["a"] == pytest.approx(told, rel=2e-3), f"{ratio} times as coarse"
    cells, found_in = 4630, (630, 4000)  # as 1.2 times as coarse, and in one of two phases the same
    found = estimate_module.spatial_error(_of_cells(case, 4000, 4000), own, MPI.COMM_SELF)
    assert found.curves["a"] == pytest.approx(same_size, rel=2e-3)
    found = estimate_module.spatial_error(_of_cells(case, 7999, 1), own, MPI.COMM_SELF)  # of next to no cells
    assert found.curves["a"] == pytest.approx([0.6645, 0.6645, 1.994], rel=2e-3)
    asked.clear()
    cells = round(8000 / 2**1.5)
    found_in = (cells,)
    found = estimate_module.spatial_error(meshed, own, MPI.COMM_SELF)
    assert found.curves["a"] == pytest.approx(half, rel=2e-3)
    assert "linear" in found.how
    assert "lesser" in found.meaning
    assert (
        "no less than 0.3 times the first, nor than 0.3 times the difference to the coarser mesh where" in found.meaning
    )
    assert [variant.coarseness for variant in asked] == pytest.approx([2**0.5, 1.0])
    assert "and of a quarter of the difference to the linear elements" in found.meaning
    # A coarser mesh that is off by more than three times as much as linear elements has lost the image
    lost = estimate_module.spatial_error(meshed, {"a": np.array([7.0, 4.0, 4.0])}, MPI.COMM_SELF)
    assert lost.curves["a"] == pytest.approx([0.5, 0.0, 0.0])
    assert "and of half of the difference to the linear elements" in lost.meaning
    assert "the first" not in lost.meaning
    meshed.volume.dim, cells = 2, round(8000 / 1.6**2)
    assert estimate_module.spatial_error(meshed, own, MPI.COMM_SELF).curves["a"] == pytest.approx(half, rel=2e-3)
    meshed.method = "fitted"  # where the coarser mesh alone tells it
    assert estimate_module.spatial_error(meshed, own, MPI.COMM_SELF).curves["a"] == pytest.approx([1.0, 1.0, 10.0])


@pytest.mark.parametrize(("differs", "told"), [(0.4, 0.12), (8.0, 0.64)])
def test_a_region_in_which_two_meshes_agree_by_chance(monkeypatch, differs, told):
    """No less than 0.3 of how far they differ in another one, in proportion to linear elements, or 0.08 of these."""

    def solved(_, variant, *__, **___):
        found = (
            {"a": np.full(1, 8.0), "b": np.full(1, 8.0)} if variant.degree == 1 else {"a": np.zeros(1), "b": of_other}
        )
        return SimpleNamespace(
            times=np.ones(1), curves=found, particles=None, cells=1953, unknowns=1, phase_cells=(1953,)
        )

    of_other = np.full(1, differs)
    monkeypatch.setattr(estimate_module, "solved_variant", solved)
    monkeypatch.setattr(estimate_module, "enveloped", lambda _, errors: errors)
    case = SimpleNamespace(time=SimpleNamespace(tolerance=1e-3), mesh=SimpleNamespace(unit=None), degree=2)
    meshed = _of_cells(case, 8000)
    found = estimate_module.spatial_error(meshed, {"a": np.zeros(1), "b": np.zeros(1)}, MPI.COMM_SELF)
    assert found.curves["a"] == pytest.approx(told)


def test_without_linear_elements_the_coarser_mesh_alone_tells_the_error_in_3d(monkeypatch, caplog):
    times = np.array([1.0, 10.0, 100.0])

    def solved(_, variant, *__, **___):
        if variant.degree == 1:
            raise RuntimeError("no convergence")
        return SimpleNamespace(
            times=times, curves={"a": np.ones(3)}, particles=None, cells=1000, unknowns=1, phase_cells=(1000,)
        )

    monkeypatch.setattr(estimate_module, "solved_variant", solved)
    case = SimpleNamespace(time=SimpleNamespace(tolerance=1e-3), mesh=SimpleNamespace(unit=None), degree=2)
    meshed = _of_cells(case, 8000)
    found = estimate_module.spatial_error(meshed, {"a": np.zeros(3)}, MPI.COMM_SELF)
    assert found.curves["a"] == pytest.approx(3 * [0.5])
    assert found.how == "from a mesh 1.4 times as coarse"
    assert "linear" not in found.meaning
    assert "error in space perhaps overestimated" in caplog.text


def test_a_quarter_of_what_linear_elements_are_off_is_enough_for_degree_2(verified):
    """Of tetrahedra of other programs, which have no coarser mesh: a slab of eight elements."""
    case = SimpleNamespace(time=SimpleNamespace(tolerance=1e-3), mesh=SimpleNamespace(unit=1e-6), degree=2)
    asked = estimate_module.comparison(SimpleNamespace(case=case, volume=SimpleNamespace(dim=3), method="lattice"))
    assert (asked.variant.degree, asked.factor) == (1, 0.25)
    length, d = 10e-6, 4e-14
    end = length**2 / d
    mesh = brick(MPI.COMM_SELF, (8, 2, 2), (10.0, 1.0, 1.0), CellType.tetrahedron)
    physics = Physics(
        (PhasePhysics("medium", Role.TRANSPORT, diffusivity=d, effective_diffusivity=d),),
        {"x_min": FaceCondition(1000.0)},
    )
    spans = {"near": (0.0, 1e-6), "middle": (4e-6, 5.03e-6), "all": (0.0, length)}
    found = []
    for degree in (1, 2):
        problem = build(mesh, physics, degree, end)
        shapes = {name: Box({"x": span}) for name, span in spans.items()}
        means = region_means(problem.space, mesh, shapes, {}, everywhere(255))
        found.append(solve(problem, means, TimeSpan(end, 1e-6), SolverOptions()))
    times = found[1].times
    late = times > 1e-3 * end
    for name, (a, b) in spans.items():
        told = asked.error(times, found[1].curves[name], found[0].curves[name], 1.0)[late]
        true = np.abs(1000 * closed_forms.slab_mean(times, a, b, length, d) - found[1].curves[name])[late]
        verified(
            term="error in space, as stated", against="slab, Crank eq. 4.17", dim=3, cells="tetrahedra", degree=2,
            error=abs(told.max() - true.max()) / 1000, of="error", balance=found[1].balance.imbalance,
        )  # fmt: skip
        assert true.max() < told.max(), name


def test_a_run_goes_on_without_its_estimate(tmp_path, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("gmsh could not mesh the image")

    monkeypatch.setattr(estimate_module, "solved_variant", fails)
    with caplog.at_level(logging.WARNING, "microlith"):
        results = run_case(_slab_case(tmp_path / "a", "degree = 2", tolerance=1e-4), comm=MPI.COMM_SELF)
    assert "error in space not estimated" in caplog.text
    summary = json.loads((results / "summary.json").read_text())
    assert summary["error"]["space"] is None
    errors = np.genfromtxt(results / "errors.csv", delimiter=",", names=True, skip_header=3)
    assert errors["all"] == pytest.approx(1000 * summary["error"]["estimate"])
    caplog.clear()
    path = _slab_case(tmp_path / "b", "degree = 1\nestimate = false", tolerance=1e-4)
    run_case(path, comm=MPI.COMM_SELF)
    assert "error in space" not in caplog.text


def test_recovered_gradients_that_fail_give_way_to_a_coarser_mesh(tmp_path, monkeypatch):
    """The run has its results by then."""

    def fails(*_):
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    monkeypatch.setattr("microlith.solver.transient.spatial_deviation", fails)
    results = run_case(_slab_case(tmp_path, "degree = 1", tolerance=1e-2), comm=MPI.COMM_SELF)
    space = json.loads((results / "summary.json").read_text())["error"]["space"]
    assert space["how"].startswith("from a mesh twice as coarse")


def test_what_steps_lack_gives_way_to_a_coarser_mesh_where_its_solver_fails(tmp_path, monkeypatch):
    """The run goes on, and has the same curves."""
    table = '{ concentrations = ["0 mol/m^3", "1000 mol/m^3"], values = ["5e-15 m^2/s", "1e-14 m^2/s"] }'
    found = []
    for failing in (False, True):
        path = _slab_case(tmp_path / str(failing), "degree = 1", tolerance=1e-2)
        text, count = re.subn(r'diffusivity = ".*"', f"diffusivity = {table}", path.read_text())
        assert count == 1
        path.write_text(text)
        if failing:

            def fails(*_):
                raise LinearSolverFailed("as the test wants it")

            monkeypatch.setattr(StageMatrix, "solve_aside", fails)
        results = run_case(path, comm=MPI.COMM_SELF)
        summary = json.loads((results / "summary.json").read_text())
        found.append(
            (summary["error"]["space"]["how"], np.genfromtxt(results / "curves.csv", delimiter=",", skip_header=4))
        )
    (told, own), (other, again) = found
    assert told.startswith("from recovered gradients")
    assert other.startswith("from a mesh twice as coarse")
    assert np.array_equal(own, again)


@pytest.mark.parametrize(
    ("degree", "how"),
    [(2, "from linear elements: a quarter of the"), (3, "from elements of degree 2: the")],
    ids=["degree 2", "degree 3"],
)
def test_where_a_coarser_mesh_is_the_same_mesh_another_degree_tells_the_error(tmp_path, degree, how):
    """Of a strip of 10 pixels: the difference to the same mesh was none, and the error in time was all there was."""
    mesh = f'[mesh]\nmethod = "lattice"\ndegree = {degree}\n'
    image = np.ones((6, 10), np.uint8)
    image[:, :3] = 0
    time = '[time]\nend = "1 s"\ntolerance = 1e-6\nsnapshots = []\n'
    results = run_case(write_case(tmp_path, image, phases=SLAB, mesh=mesh, time=time, regions=""), comm=MPI.COMM_SELF)
    space = json.loads((results / "summary.json").read_text())["error"]["space"]
    assert space["how"].startswith(f"{how} difference of the two solutions")
    found = curves(results)
    times = found["time_s"]
    told = np.genfromtxt(results / "errors.csv", delimiter=",", names=True, skip_header=3)["slab"]
    length = 7 * PIXEL
    true = np.abs(found["slab"] - 1000 * closed_forms.slab_mean(times, 0, length, length, D))
    late = times > 1e-3
    assert (true[late] < told[late]).all()
    assert true[late].max() > 0.1


def test_sizes_for_a_wanted_error_give_it(tmp_path):
    study = _study(_slab_case(tmp_path, MESHES["triangles, degree 1"][0]), tmp_path, wanted=2e-4)
    sizes = json.loads((tmp_path / "study" / "converge.json").read_text())["sizes"]
    size, largest = sizes["size"]["slab"], sizes["size_max"]
    assert size == pytest.approx(20e-9 * sizes["factor"])
    again = _slab_case(tmp_path / "again", f'size = {{ slab = "{size} m" }}\nsize_max = "{largest} m"\ndegree = 1')
    finer = _study(again, tmp_path / "again", levels=1)
    true = max(
        np.abs(finer.base.relative[name] - filled(finer.base.times, *SPANS[name])).max() for name in finer.base.curves
    )  # fmt: skip
    assert 2e-5 < true <= 2e-4
    assert finer.base.unknowns == pytest.approx(sizes["unknowns"], rel=0.3)
    assert study.regions["all"].largest > 2e-4


@pytest.mark.parametrize("method", ["fitted", "lattice"])
def test_sizes_advised_of_a_small_image_can_be_given(tmp_path, method):
    """Two pixels at surfaces are more than a 25th of a small image: the sizes advised were refused."""
    study = _study(_slab_case(tmp_path, f'method = "{method}"', rows=4), tmp_path, wanted=1e-2, levels=2)
    advice = study.advice
    assert advice.needed == advice.factor == 2.0
    (told, *_) = advice_lines(study.case, advice)
    assert advice.size["slab"] <= advice.size_max
    mesh = f'method = "{method}"\n' + told.split("unknowns: ")[1].replace(", size_max", "\nsize_max")
    coarse = min(study.levels, key=lambda outcome: outcome.cells)
    again = _study(_slab_case(tmp_path / "again", mesh, rows=4), tmp_path / "again", levels=1)
    assert again.base.cells == pytest.approx(coarse.cells, rel=0.3)


@pytest.mark.parametrize("size", [4, 1, 0.5])
def test_no_size_below_a_pixel_is_advised(tmp_path, size):
    """For 1e-3 of 20 nm pixels it advised elements of 1.1 nm."""
    mesh = f'size = {{ slab = "{size * PIXEL} m" }}\nsize_in = {{ far = "36 nm" }}\nsize_max = "80 nm"\ndegree = 1'
    study = _study(_slab_case(tmp_path, mesh, tolerance=1e-6), tmp_path, wanted=1e-7, levels=2)
    advice, lines = study.advice, advice_lines(study.case, study.advice)
    text = " ".join(lines)
    assert advice.needed < advice.factor == min(1.0, 1 / size)
    assert advice.needed_size == pytest.approx(advice.needed * size * PIXEL)
    assert advice.size["slab"] == pytest.approx(min(1, size) * PIXEL)
    assert "below a pixel or voxel (10 nm): that adds nothing" in text
    assert f"an error of about {advice.expected:.1e}" in text or f"is about {advice.expected:.1e}" in text
    assert ("multiply the sizes by" in text) == (size > 1)
    assert ('size_in = { far = "9 nm" }' in text) == (size > 1)
    assert advice.expected > 1e-7


def test_no_squares_below_a_pixel_are_advised(tmp_path):
    study = _study(_slab_case(tmp_path, 'method = "voxel"\ndegree = 1', tolerance=1e-6, rows=4), tmp_path, wanted=1e-7)
    text = " ".join(advice_lines(study.case, study.advice))
    assert "the cells would have to be" in text
    assert "adds nothing that the image knows" in text
    assert "multiply" not in text
    assert study.advice.factor == 1.0


def test_a_study_is_about_what_regions_hold(tmp_path):
    """Of a store that holds 20 times the source's concentration errors were per source, and t50 at a 20th of half."""
    phases = '[phases.store]\nlabel = 2\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
    law = '[[interfaces]]\nbetween = ["slab", "store"]\npartition = 20\n'
    image = slab_image(8)
    image[:, 28:] = 2
    time = f'[time]\nend = "{10 * END:.9g} s"\ntolerance = 1e-6\nsnapshots = []\n'
    mesh = '[mesh]\nsize_max = "40 nm"\ndegree = 1\n'
    regions = '[regions.first]\nphase = "slab"\n[regions.second]\nphase = "store"\n'
    path = write_case(tmp_path, image, phases=SLAB + phases + law, mesh=mesh, time=time, regions=regions)
    study = _study(path, tmp_path, levels=2)
    found, times = study.regions["second"], study.base.times
    assert found.holds == pytest.approx(20)
    late, early = found.peaks
    assert late.error == pytest.approx(found.space[times >= 1e-3 * times[-1]].max() / 20)
    assert early.error == pytest.approx(found.space[times < 1e-3 * times[-1]].max() / 20)
    curve = study.base.curves["second"]
    assert study.base.t50["second"] == pytest.approx(np.interp(10_000, curve, times), rel=0.01)
    entries = json.loads((tmp_path / "study" / "converge.json").read_text())["regions"]["second"]
    assert entries["error_in_space_of_what_it_holds"] == late.error
    assert entries["error_in_space"] == pytest.approx(found.space.max())


def test_files_of_a_study(tmp_path, capsys):
    path = _slab_case(tmp_path, MESHES["triangles, degree 2"][0], tolerance=1e-4)
    output = tmp_path / "study"
    assert cli.main(["converge", str(path), "-o", str(output), "--segmentation"]) == 0
    assert sorted(p.name for p in output.iterdir()) == [
        ".microlith.json",
        "converge.csv", "converge.json", "converge.png", "report.html", "segmentation.png",
    ]  # fmt: skip
    shown = capsys.readouterr()
    for word in ("order", "in space", "degree + 1", "multiply the sizes by", "half a voxel", "t50"):
        assert word in " ".join(shown.out.split())
    rows = table_rows(output / "converge.csv")
    runs = [(row["coarseness"], row["degree"], row["tolerance"]) for row in rows[::2]]
    levels = [(k, "2", "0.0001") for k in ("2", "1.41421", "1")]
    assert runs == [*levels, ("2", "2", "1e-05"), ("1", "3", "0.0001")]
    entries = json.loads((output / "converge.json").read_text())
    region = entries["regions"]["all"]
    assert len(region["errors_over_time"]) == len(region["extrapolated"]) == len(entries["times_s"])
    assert region["error_in_time_checked_on_the_coarsest_mesh"] <= region["error_in_time_estimated_there"]
    assert cli.main(["converge", str(path), "-o", str(output)]) == 2
    assert "--force" in capsys.readouterr().err
    assert cli.main(["-q", "converge", str(path), "-o", str(output), "--force", "--levels", "1"]) == 0
    silent = capsys.readouterr()
    assert silent.out + silent.err == ""
    assert sorted(p.name for p in output.iterdir()) == [
        ".microlith.json",
        "converge.csv",
        "converge.json",
        "report.html",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--levels", "0"], "--levels 0: expected a number of meshes from 1 to"),
        (["--error", "2"], "--error 2: expected the wanted error"),
        (["--segmentation", "slap"], 'no phase "slap"; did you mean "slab"?'),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, arguments, words):
    path = _slab_case(tmp_path, "degree = 1")
    assert cli.main(["converge", str(path), "-o", str(tmp_path / "study"), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "study").exists()


def test_all_ranks_move_what_the_first_one_reads(tmp_path, monkeypatch):
    """The first rank alone looks at the arguments: the others waited for it elsewhere for ever."""
    given = SimpleNamespace(
        case=_slab_case(tmp_path, "degree = 1"), output=tmp_path / "study", levels=1, error=None, segmentation=[],
        force=False, quiet=True, no_memory_check=False, verbose=False, check_memory=True,
    )  # fmt: skip
    of_the_first = studies._ready_to_converge(SimpleNamespace(**vars(given)))
    told = []
    monkeypatch.setattr(study_module, "converge", lambda *of, **_: told.append(of))
    studies.converge(given, SimpleNamespace(on_first=lambda _: of_the_first))
    assert told[0][-1] == ""


def test_arguments_are_looked_at_before_anything_heavy_is_imported():
    # The first rank does that alone: PETSc, which starts on all ranks together, would wait for the others for ever.
    code = """
import sys
from microlith.workflow.case import read
from microlith.workflow.studies import options
heavy = {"petsc4py", "dolfinx", "matplotlib", "gmsh"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    source = (Path(studies.__file__)).read_text(encoding="utf-8")
    ready = source[source.index("def _ready_to_converge") : source.index("def deff")]
    assert "studies.options" in ready
    assert "studies.converge " not in ready


@pytest.mark.skipif(COMM.size == 1, reason="compares ranks with one alone")
@pytest.mark.mpi
def test_a_study_does_not_depend_on_the_ranks(tmp_path_factory):
    folder = COMM.bcast(tmp_path_factory.mktemp("ranks") if COMM.rank == 0 else None)
    if COMM.rank == 0:
        _slab_case(folder, 'method = "lattice"\nsize_max = "40 nm"\ndegree = 1', tolerance=1e-6)
    COMM.barrier()
    case = load_case(folder / "case.toml")
    asked = {"levels": 2, "moved": "", "show": False}
    shared = study_module.converge(case, folder / "shared", False, **asked, comm=COMM)
    # Every rank by itself, not the first alone: what the ranks share may be freed meanwhile, by all of them together.
    alone = study_module.converge(case, folder / f"alone{COMM.rank}", False, **asked, comm=MPI.COMM_SELF)
    for one, other in zip(shared.levels, alone.levels, strict=True):
        assert one.cells == other.cells
        assert one.relative["all"] == pytest.approx(other.relative["all"], abs=2e-6)
    assert shared.segmentation.larger.t50["all"] == pytest.approx(alone.segmentation.larger.t50["all"], rel=1e-4)
    for name, found in shared.regions.items():
        assert found.largest == pytest.approx(alone.regions[name].largest, abs=2e-6)


# --- interfaces moved by half a voxel ---


@pytest.mark.mpi
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_straight_interfaces_move_by_half_a_voxel(axis):
    phase = np.ones((6, 8, 10), np.uint8)
    phase[tuple(slice(0, 3) if i == axis else slice(None) for i in range(3))] = 0
    volume = _volume(phase, (3 * PIXEL, 2 * PIXEL, PIXEL))
    layer = phase.size // phase.shape[axis]  # voxels
    for shift, gained in ((Shift((0,), (1,)), 0.5), (Shift((1,), (0,)), -0.5), (None, 0.0)):
        moved = shifted(volume, shift, COMM)
        assert moved.extent == pytest.approx(volume.extent)
        assert moved.counts[0] / 8 == volume.counts[0] + gained * layer
        assert sum(moved.counts) == 8 * phase.size


@pytest.mark.parametrize(("dim", "most"), [(2, 1.12), (3, 1.2)])
def test_round_interfaces_move_by_about_half_a_voxel(dim, most):
    radius = 40 if dim == 2 else 20
    size = 2 * radius + 12
    volume = _volume(_ball(dim, size, radius), comm=MPI.COMM_SELF)
    surface = {2: 2 * np.pi * radius, 3: 4 * np.pi * radius**2}[dim]
    for shift, sign in ((Shift((0,), (1,)), 1), (Shift((1,), (0,)), -1)):
        moved = shifted(volume, shift, MPI.COMM_SELF)
        by = (moved.counts[0] / 2**dim - volume.counts[0]) / surface
        assert 0.5 * 0.98 <= sign * by <= 0.5 * most


@pytest.mark.mpi
def test_windows_of_moved_images_fit_together():
    phase = np.random.default_rng(5).integers(0, 3, (5, 6, 7)).astype(np.uint8)
    volume = _volume(phase)
    moved = shifted(volume, Shift((0,), (1, 2)), COMM)
    whole = moved.read(((0, 10), (0, 12), (0, 14))).phase
    low = COMM.rank % 3
    window = ((low, 9), (low + 1, low + 8), (3, 4 + low))
    assert (moved.read(window).phase == whole[tuple(slice(*span) for span in window)]).all()
    fine = np.kron(phase, np.ones((2, 2, 2), np.uint8))
    assert (subdivided(volume, 2).read(((0, 10), (0, 12), (0, 14))).phase == fine).all()
    assert (whole[fine == 0] == 0).all()
    assert (fine[whole != 0] == whole[whole != 0]).all(), "those that yield change to phase 0 only"
    assert moved.counts == tuple(np.bincount(whole.ravel(), minlength=3))


def test_elements_keep_their_size_on_finer_voxels():
    phase = _ball(2, 100, 35)
    options = MeshOptions(size={"b": 2 * PIXEL}, size_max=6 * PIXEL)
    image = LabelImage(phase, ("a", "b"), (PIXEL, PIXEL))
    fine = LabelImage(np.kron(phase, np.ones((2, 2), np.uint8)), ("a", "b"), (PIXEL / 2, PIXEL / 2))
    for asked in (options, MeshOptions()):
        meshes = [
            fitted_mesh(image, asked, [0]),
            fitted_mesh(fine, on_finer_voxels(asked), [0]),
        ]
        count = [np.count_nonzero(mesh.phase == 0) for mesh in meshes]
        assert count[1] == pytest.approx(count[0], rel=0.25)


@pytest.mark.parametrize("method", ["fitted", "voxel"])
def test_a_slab_fills_as_two_images_say(tmp_path, method):
    """Images whose slab is two pixels thinner, and three thicker, than that of the case."""
    mesh = f'method = "{method}"\ndegree = 2' + ('\nsize_max = "40 nm"' if method != "voxel" else "")
    path = _slab_case(tmp_path, mesh, regions='[regions.all]\nphase = "slab"\n', rows=4)
    files = []
    for name, first in (("thin", 10), ("thick", 5)):
        image = np.ones((4, 48), np.uint8)
        image[:, :first] = 0
        files.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(files[-1], image)
    found = _study(path, tmp_path, levels=1, moved=tuple(files)).segmentation
    assert found.ways == ("thin.tif", "thick.tif")
    for outcome, pixels in ((found.as_is, 40), (found.smaller, 38), (found.larger, 43)):
        length = pixels * PIXEL
        true = closed_forms.slab_mean(outcome.times, 0.0, length, length, D)
        assert np.abs(outcome.relative["all"] - true).max() < 2e-3
    told = json.loads((tmp_path / "study" / "converge.json").read_text())["segmentation"]
    assert told["by"].endswith("thick.tif")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["thin.tif", "no.tif"], "no.tif: there is no such file"),
        (["thin.tif"], "expected two label images"),
        (["a", "b", "c"], "expected a phase or two label images, got 3 words"),
        (["image.tif", "short.tif"], "short.tif: has 40 x 20 voxels, the image of the case 48 x 20"),
        (["image.tif", "deep.tif"], "deep.tif: has 48 x 20 x 3 voxels, the image of the case 48 x 20"),
        (["image.tif", "other.tif"], "no phase claims 7 (16.7 %), 8 (83.3 %) of the pixels of"),
    ],
)  # fmt: skip
def test_images_of_another_segmentation_are_refused(tmp_path, capsys, monkeypatch, words, sentence):
    path = _slab_case(tmp_path, 'size_max = "60 nm"')
    monkeypatch.chdir(tmp_path)
    image = tifffile.imread("image.tif")
    tifffile.imwrite("thin.tif", image)
    tifffile.imwrite("short.tif", image[:, :40])
    tifffile.imwrite("other.tif", image + np.uint8(7))
    tifffile.imwrite("deep.tif", np.stack([image] * 3), photometric="minisblack")
    monkeypatch.setattr("microlith.workflow.prepare.meshed.METHODS", {})  # refused before anything is meshed
    arguments = ["converge", str(path), "-o", "out", "--levels", "1", "--segmentation", *words]
    assert cli.main(arguments) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["fitted", "lattice", "voxel"])
def test_a_slab_fills_as_its_moved_interface_says(tmp_path, method, verified):
    mesh = f'method = "{method}"\ndegree = 2' + ('\nsize_max = "40 nm"' if method != "voxel" else "")
    path = _slab_case(tmp_path, mesh, regions='[regions.all]\nphase = "slab"\n', rows=4)
    study = _study(path, tmp_path, levels=1, moved="")
    found = study.segmentation
    worst = 0.0
    for outcome, length in (
        (found.smaller, LENGTH - PIXEL / 2), (found.as_is, LENGTH), (found.larger, LENGTH + PIXEL / 2),
    ):  # fmt: skip
        worst = max(worst, abs(outcome.t50["all"] / (T50 * length**2 / D) - 1))
    balance = max(o.imbalance for o in (found.smaller, found.as_is, found.larger))
    cells = "squares" if method == "voxel" else "triangles"
    verified(
        term="interface moved by half a voxel", against="slab, Crank eq. 4.17", dim=2, cells=cells, degree=2,
        error=worst, of="time to half full", balance=balance,
    )  # fmt: skip
    assert worst < 1e-3  # where the move itself changes the time by 2.5 %
    assert balance <= 1e-8
    assert found.what == "slab"


def test_a_ball_of_few_voxels_fills_as_its_moved_surface_says(tmp_path):
    """Meshes of degree 1 err by more than half a voxel changes: a smaller ball seemed to fill later than the ball.

    Steps of the voxels are rougher where nothing is moved, hence the factor of two.
    """
    z, y, x = np.indices((20, 20, 20)) - 9.5
    image = (x**2 + y**2 + z**2 < 7.6**2).astype(np.uint8)
    radius = (3 * image.sum() / (4 * np.pi)) ** (1 / 3) * PIXEL
    end = 0.4 * radius**2 / D
    path = write_case(
        tmp_path, image, phases=SLAB, mesh="", regions='[regions.all]\nphase = "slab"\n',
        time=f'[time]\nend = "{end:.6g} s"\nsnapshots = []\n',
    )  # fmt: skip
    found = _study(path, tmp_path, levels=1, moved="").segmentation
    t = np.geomspace(1e-3, 1, 200) * end
    as_is, smaller, larger = (closed_forms.sphere_mean(t, radius + by * PIXEL / 2, D) for by in (0, -1, 1))
    for outcome, exact in ((found.smaller, (smaller - as_is).max()), (found.larger, (larger - as_is).min())):
        change, when = found.deviation(outcome, "all")
        assert 0.5 < change / exact < 1.8
        assert when >= 1e-3 * end
    first = {outcome.t50["all"] for outcome in (found.smaller, found.as_is, found.larger)}
    assert found.as_is.t50["all"] == sorted(first)[1]


def test_one_phase_can_be_moved_alone(tmp_path):
    image = np.ones((4, 40), np.uint8)
    image[:, 20:] = 2
    phases = SLAB.replace("[phases.slab]", "[phases.one]") + SLAB[SLAB.index("[phases.slab]") :].replace(
        "label = 1", "label = 2"
    )
    image[:, :4] = 0
    regions = '[regions.one]\nphase = "one"\n'
    path = write_case(
        tmp_path, image, phases=phases, mesh='[mesh]\nmethod = "voxel"\ndegree = 1\n', regions=regions,
        time='[time]\nend = "10 s"\nsnapshots = []\n',
    )  # fmt: skip
    found = _study(path, tmp_path, levels=1, moved="slab").segmentation
    assert found.what == "slab"
    # The interface to "one" moves, that of "one" to the source stays: `one` is larger where slab is smaller
    first = [o.t50["one"] for o in (found.larger, found.as_is, found.smaller)]
    assert first[0] < first[1] < first[2]
    with pytest.raises(InputError, match="no phase"):
        _study(path, tmp_path / "b", levels=1, moved="slap")


def _with_a_film(folder, method="voxel"):
    """A slab with a film of one pixel between it and the source, both solved for, and regions in both; the image."""
    image = np.ones((4, 24), np.uint8)
    image[:, :4] = 0
    image[:, 4] = 2
    film = SLAB[SLAB.index("[phases.slab]") :].replace("slab", "film").replace("label = 1", "label = 2")
    regions = '[regions.film]\nphase = "film"\n[regions.slab]\nphase = "slab"\n'
    regions += '[regions.in_film]\nbox = { x = ["0 nm", "60 nm"] }\nin_phase = "film"\n'
    mesh = f'[mesh]\nmethod = "{method}"\ndegree = 1\n'
    time = '[time]\nend = "4 s"\nsnapshots = []\n'
    return write_case(folder, image, phases=SLAB + film, mesh=mesh, time=time, regions=regions), image


def _told_without(lost, study, folder, what, capsys):
    """That the study has all curves but those of some regions where interfaces are the smaller ones."""
    found = study.segmentation
    assert set(found.as_is.curves) == set(found.larger.curves) == {"film", "slab", "in_film"}
    assert {*found.smaller.curves, *lost} == {"film", "slab", "in_film"}
    assert found.deviation(found.smaller, "in_film") is None
    assert found.deviation(found.larger, "in_film")[0] != 0
    (sentence,) = study.warnings
    assert sentence.startswith(f"--segmentation, {what}: region")
    assert all(name in sentence for name in lost)
    entries = json.loads((folder / "converge.json").read_text())
    assert entries["warnings"] == [sentence]
    assert entries["segmentation"]["lost"]["smaller"] == lost
    assert entries["segmentation"]["regions"]["in_film"]["smaller"] is None
    assert entries["segmentation"]["regions"]["in_film"]["larger"]["t50_s"] > 0
    assert (folder / "segmentation.png").is_file()
    assert "not known" in capsys.readouterr().out


def test_a_region_that_moved_interfaces_leave_nothing_of(tmp_path, capsys):
    """The study ended there, and all that had been solved was lost."""
    path, _ = _with_a_film(tmp_path)
    study = study_module.converge(load_case(path), tmp_path / "study", False, 1, None, "film")
    _told_without(["film", "in_film"], study, tmp_path / "study", "film half a voxel smaller", capsys)


def test_a_region_that_another_image_has_nothing_of(tmp_path, capsys):
    path, image = _with_a_film(tmp_path)
    without = np.where(image == 2, np.uint8(1), image)
    without[:, 12] = 2  # there is none of it where the box is
    tifffile.imwrite(tmp_path / "without.tif", without)
    image[:, 5] = 2
    tifffile.imwrite(tmp_path / "more.tif", image)
    files = tmp_path / "without.tif", tmp_path / "more.tif"
    study = study_module.converge(load_case(path), tmp_path / "study", False, 1, None, files)
    _told_without(["in_film"], study, tmp_path / "study", str(files[0]), capsys)


def test_moved_interfaces_that_leave_nothing(tmp_path, capsys):
    """A slab of one pixel: the smaller one is left out, and the larger one is told."""
    image = np.zeros((4, 9), np.uint8)
    image[:, 4] = 1
    path = write_case(
        tmp_path, image, phases=SLAB, mesh='[mesh]\nmethod = "voxel"\n', regions='[regions.all]\nphase = "slab"\n',
        time='[time]\nend = "1 s"\nsnapshots = []\n',
    )  # fmt: skip
    assert cli.main(["converge", str(path), "-o", str(tmp_path / "study"), "--levels", "1", "--segmentation"]) == 0
    shown = capsys.readouterr()
    assert "slab half a voxel smaller: could not be solved and is left out" in " ".join(shown.err.split())
    entries = json.loads((tmp_path / "study" / "converge.json").read_text())["segmentation"]
    assert entries["runs"]["smaller"] is None
    assert entries["regions"]["all"]["larger"]["largest_change"] < 0
