"""Decay, a loss of first order within phases: exponentials, layers by Laplace's transform, fluxes, contrasts, runs."""

import json
import logging

import numpy as np
import pytest
from closed_forms import decaying_slab_mean
from layers import Layer, finite_volumes, ladder
from made_cases import curves, run_case, write_case
from made_meshes import COMM, brick, everywhere, rectangle

from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.imaging.parallel.collective import on_root
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import Course
from microlith.solver.physics.laws import DiffusivityTable
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box, WholePhase
from microlith.solver.transient import solve

MICRO = 1e-6
LENGTH = 10 * MICRO
D, RATE, END = 2e-14, 1e-3, 2500.0  # m²/s, 1/s, s
LAW = DiffusivityTable((0.0, 1000.0), (D / 2, D))
CONSTANT = DiffusivityTable((0.0, 1000.0), (D, D))
FED = {"x_min": FaceCondition(1000.0)}
KINDS = {
    "triangles": CellType.triangle,
    "squares": CellType.quadrilateral,
    "tetrahedra": CellType.tetrahedron,
    "cubes": CellType.hexahedron,
}


def phase(name="medium", diffusivity=D, **more):
    return PhasePhysics(name, Role.TRANSPORT, diffusivity=diffusivity, effective_diffusivity=diffusivity, **more)


def row(cells, columns, names=("medium",), comm=COMM, thick=10.0):
    """Layers of the same thickness one behind the other, `columns` cells each, 10 µm in all."""
    count = len(names)

    def number(x):
        return np.minimum(x[0] // (thick / count), count - 1).astype(int)

    if cells in ("triangles", "squares"):
        return rectangle(comm, (columns * count, 1), (thick, 0.05 * thick), number, names, kind=KINDS[cells])
    return brick(comm, (columns * count, 1, 1), (thick, 0.05 * thick, 0.05 * thick), KINDS[cells], number, names)


def solved(mesh, physics, degree=2, end=END, tolerance=1e-6, linear="auto", shapes=None, **time):
    problem = build(mesh, physics, degree, end)
    shapes = shapes or {name: WholePhase(name) for name in mesh.names}
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    return solve(problem, means, TimeSpan(end, tolerance, **time), SolverOptions(linear))


def off(transient, expected, early=1e-4):
    """Largest difference of curves, per 1000 mol/m³, to those expected, from an early share of the run on."""
    late = transient.times >= early * transient.times[-1]
    return max(np.abs(transient.curves[name] / 1000.0 - curve)[late].max() for name, curve in expected.items())


def some_on_ranks(every, some):
    """Values of a parameter, those that are tried on several ranks with the mark."""
    return [pytest.param(value, marks=[pytest.mark.mpi] if value in some else []) for value in every]


# --- uniform ---


@pytest.mark.parametrize("law", [None, LAW], ids=["linear", "law"])
@pytest.mark.parametrize("cells", some_on_ranks(KINDS, ("triangles", "tetrahedra")))
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_uniform(verified, linear, cells, law):
    """A closed porous phase follows exp(-k t): catches a lost porosity, a wrong sign, a wrong unit of time."""
    mesh = row(cells, 6)
    medium = phase(law=law, porosity=0.5, initial=500.0, decay=RATE)
    transient = solved(mesh, Physics((medium,)), linear=linear)
    error = np.abs(transient.curves["medium"] / 500.0 - np.exp(-RATE * transient.times)).max()
    verified(
        term="decay", against="exponential", dim=mesh.mesh.topology.dim, cells=cells, degree=2, error=error,
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 1e-6
    assert error < transient.error + 1e-12
    assert transient.balance.imbalance < 1e-8
    lost = 500.0 * 0.5 * 10.0 * 0.5 * MICRO**2 * -np.expm1(-RATE * END)
    if mesh.mesh.topology.dim == 2:
        assert transient.balance.inflow == {"medium, decay": pytest.approx(-lost, rel=1e-5)}


@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_slow_and_fast(linear, verified):
    """Rates from 1e-14 to 1e6 per run, beside diffusion from 1e-6 to 1e12 per run: none is dropped or overdone."""
    mesh = row("triangles", 6, comm=MPI.COMM_SELF)
    for fourier in (1e-6, 1.0, 1e6, 1e12) if linear == "mumps" else (1.0, 1e12):
        for share in (1e-14, 1e-10, 1e-5, 1.0, 1e3, 1e6):
            medium = phase(diffusivity=fourier * LENGTH**2 / END, initial=1000.0, decay=share / END)
            transient = solved(mesh, Physics((medium,)), linear=linear)
            error = off(transient, {"medium": np.exp(-medium.decay * transient.times)})
            verified(
                term="decay, slow and fast", against="exponential", dim=2, cells="triangles", degree=2, error=error,
            )  # fmt: skip
            assert error < transient.error + 1e-12, (fourier, share)
            assert transient.balance.imbalance < max(1e-6, transient.balance.expected)  # 1e-12 of what is there


# --- slabs and layers ---


def test_steady_slab(verified):
    """After long: cosh(m (L - x)) / cosh(m L), and what comes in is what decays, ε k ∫ c dx."""
    mesh = row("squares", 24)
    end = 50 / RATE
    spans = {"near": (0.0, 1.0), "middle": (4.0, 5.03), "far": (8.77, 10.0)}
    shapes = {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in spans.items()}
    transient = solved(mesh, Physics((phase(porosity=0.5, decay=RATE),), FED), 3, end, 1e-8, shapes=shapes)
    m = np.sqrt(0.5 * RATE / D)

    def primitive(x):
        return -np.sinh(m * (LENGTH - x * MICRO)) / (m * np.cosh(m * LENGTH))

    error = max(
        abs(transient.curves[name][-1] / 1000.0 - (primitive(b) - primitive(a)) / ((b - a) * MICRO))
        for name, (a, b) in spans.items()
    )
    verified(
        term="decay", against="steady slab, cosh", dim=2, cells="squares", degree=3, error=error,
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 1e-6
    assert transient.balance.imbalance < 1e-8
    inflow = transient.balance.inflow
    assert inflow["x_min"] + inflow["medium, decay"] == pytest.approx(transient.balance.stored_change, rel=1e-6)


@pytest.mark.parametrize("cells", ["triangles", "cubes"])
def test_with_a_law(cells, verified):
    """Steps of a nonlinear problem, D constant by a table, against the slab's series."""
    mesh = row(cells, 24)
    medium = phase(law=CONSTANT, porosity=0.5, decay=RATE)
    transient = solved(mesh, Physics((medium,), FED), 2, tolerance=1e-6)
    expected = decaying_slab_mean(transient.times, 0.0, LENGTH, LENGTH, D / 0.5, RATE)
    error = off(transient, {"medium": expected}, 1e-2)
    verified(
        term="decay", against="slab held at one side (Danckwerts 1951), by a law of D", dim=mesh.mesh.topology.dim,
        cells=cells, degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 2e-5
    assert transient.balance.imbalance < 1e-8


LAWS = {
    "one": (),
    "partition": (InterfaceLaw("near", "far", partition=3.0),),
    "exchange": (InterfaceLaw("near", "far", partition=0.5, exchange=4e-9),),
}
RATES = {"both": (2e-3, 5e-4), "the first": (2e-3, 0.0), "the second": (0.0, 2e-3)}


@pytest.mark.parametrize("partition", [0.5, 3.0])
def test_references_agree(partition):
    """Laplace's transform and finite volumes, both with decay, know nothing of each other."""
    layers = [Layer(0.4, 1.0, 0.5, decay=3.0), Layer(1.0, 0.3, 0.8, partition, 2.0, decay=0.7)]
    times = np.geomspace(1e-2, 3.0, 8)
    assert np.abs(ladder(layers, times) - finite_volumes(layers, times, left=(1.0, np.inf))).max() < 1e-8


@pytest.mark.parametrize("cells", some_on_ranks(["triangles", "tetrahedra"], ["triangles"]))
@pytest.mark.parametrize("where", RATES)
@pytest.mark.parametrize("law", LAWS)
def test_two_layers(law, where, cells, verified):
    """Each phase with its own rate and porosity: catches a rate of the wrong phase, of u in place of c, a lost κ."""
    mesh = row(cells, 16, ("near", "far"))
    rates = RATES[where]
    media = (phase("near", porosity=0.5, decay=rates[0]), phase("far", D / 3, porosity=0.8, decay=rates[1]))
    transient = solved(mesh, Physics(media, FED, LAWS[law]), 2, 4 * END)
    between = LAWS[law][0] if LAWS[law] else InterfaceLaw("near", "far")
    layers = [
        Layer(LENGTH / 2, D, 0.5, decay=rates[0]),
        Layer(LENGTH, D / 3, 0.8, between.partition, between.exchange or np.inf, decay=rates[1]),
    ]
    late = transient.times > 1e-2 * transient.times[-1]
    expected = ladder(layers, transient.times[late])
    found = np.array([transient.curves[name][late] / 1000.0 for name in mesh.names]).T
    error = np.abs(found - expected).max() / max(1.0, between.partition)
    verified(
        term="decay, two phases", against="two layers, Laplace's transform inverted", dim=mesh.mesh.topology.dim,
        cells=cells, degree=2, error=error, balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < 5e-5
    assert transient.balance.imbalance < max(1e-8, transient.balance.expected)
    assert [name for name in transient.balance.inflow if "decay" in name] == [
        f"{name}, decay" for name, rate in zip(mesh.names, rates, strict=True) if rate
    ]


# --- accuracy in time ---


@pytest.mark.parametrize("law", [None, LAW], ids=["linear", "law"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_the_estimate_covers_the_error(law, tolerance):
    """Of the same elements' curves, against ones a hundred times as accurate; fed, and closed and uneven."""
    mesh = row("triangles", 12, ("near", "far"), MPI.COMM_SELF)
    media = (phase("near", law=law, initial=200.0, decay=3 * RATE), phase("far", 3 * D, porosity=0.4, decay=RATE))
    for faces in (FED, {}):
        rough = solved(mesh, Physics(media, faces), tolerance=tolerance)
        fine = solved(mesh, Physics(media, faces), tolerance=1e-2 * tolerance)
        assert rough.converged
        scale = 1000.0 if faces else 200.0
        error = max(np.abs(rough.curves[name] - fine.curves[name]).max() for name in mesh.names) / scale
        assert error < rough.error + fine.error


# --- with what else there is ---


@pytest.mark.parametrize("law", [None, CONSTANT], ids=["linear", "law"])
@pytest.mark.parametrize("kind", ["constant", "course"])
def test_flux(law, kind, verified):
    """What a flux brings decays, well mixed: j / (ε k L) (1 - exp(-k t)), and its answer to a ramp."""
    mesh = row("squares", 6)
    flux = 1e-8
    level = flux / (0.5 * RATE * LENGTH)
    ramp = Course((0.0, END), (0.0, flux))
    faces = {"x_min": FaceCondition(flux=flux if kind == "constant" else ramp)}
    fast = 1e4 * D
    law = law and DiffusivityTable((0.0, 1000.0), (fast, fast))
    transient = solved(mesh, Physics((phase(diffusivity=fast, law=law, porosity=0.5, decay=RATE),), faces))
    t = transient.times
    expected = level * -np.expm1(-RATE * t)
    if kind == "course":
        expected = level / END * (t + np.expm1(-RATE * t) / RATE)
    reference = flux * END / (0.5 * LENGTH)
    error = np.abs(transient.curves["medium"] - expected).max() / reference
    verified(
        term="decay", against="well-mixed slab with a flux", dim=2, cells="squares", degree=2, error=error,
        balance=transient.balance.imbalance,
    )  # fmt: skip
    assert error < transient.error + 1e-9
    assert transient.balance.imbalance < max(1e-8, transient.balance.expected)


@pytest.mark.mpi
@pytest.mark.parametrize("law", [None, LAW], ids=["linear", "law"])
def test_the_balance_closes_with_all_else(law):
    """A course that is held on one side, on the other a transfer that changes; two phases with a partition."""
    mesh = row("triangles", 8, ("near", "far"))
    media = (phase("near", law=law, initial=100.0, porosity=0.5, decay=RATE), phase("far", decay=2 * RATE))
    velocity = Course((0.0, 0.5 * END, END), (1e-9, 5e-9, 0.0))
    faces = {
        "x_min": FaceCondition(Course((0.0, END), (0.0, 1000.0))),
        "x_max": FaceCondition(500.0, velocity),
    }
    physics = Physics(media, faces, (InterfaceLaw("near", "far", partition=2.0),))
    transient = solved(mesh, physics)
    balance = transient.balance
    assert transient.converged
    assert balance.imbalance < max(1e-8, balance.expected)
    assert balance.inflow["near, decay"] < 0 > balance.inflow["far, decay"]
    assert sum(balance.inflow.values()) == pytest.approx(balance.stored_change, rel=1e-5)


# --- contrasts ---

EDGE, SLOW = 20e-9, 1e-20  # m of each layer, m²/s
CONTRASTS = {  # where it decays, whether the slow layer is the first, whether D is a table; and elements
    "slow, fast decays": ("fast", True, False, "triangles", 12, "cg"),
    "slow decays, fast": ("slow", True, False, "triangles", 12, "cg"),
    "fast decays, slow": ("fast", False, False, "triangles", 12, "cg"),
    "fast, slow decays": ("slow", False, False, "triangles", 12, "cg"),
    "both decay, solid": ("both", False, False, "tetrahedra", 8, "mumps"),
    "both decay, by a law": ("both", False, True, "triangles", 12, "mumps"),
}


@pytest.mark.parametrize("name", CONTRASTS)
def test_contrast(name, verified):
    """Layers with ten orders of magnitude between them, and decay in either: as right as without contrast."""
    where, slow_first, lawful, cells, columns, linear = CONTRASTS[name]
    mesh = row(cells, columns, ("near", "far"), MPI.COMM_SELF, 0.04)
    end = 3 * EDGE**2 / SLOW
    found, forms = {}, {}
    for power in (6, 10):
        fast = SLOW * 10.0**power
        diffusivities = (SLOW, fast) if slow_first else (fast, SLOW)
        rates = [2 / end if where in ("both", "slow" if d == SLOW else "fast") else 0.0 for d in diffusivities]
        media = tuple(
            phase(n, d, decay=k, law=DiffusivityTable((0.0, 1000.0), (d, d)) if lawful else None)
            for n, d, k in zip(mesh.names, diffusivities, rates, strict=True)
        )
        transient = solved(mesh, Physics(media, FED), 2, end, 1e-4, linear)
        layers = [Layer((i + 1) * EDGE, d, decay=k) for i, (d, k) in enumerate(zip(diffusivities, rates, strict=True))]
        forms[power] = dict(zip(mesh.names, ladder(layers, transient.times).T, strict=True))
        found[power] = {name: curve / 1000.0 for name, curve in transient.curves.items()}
        assert transient.converged
        assert off(transient, forms[power]) < 3e-3 + transient.error
        assert transient.balance.imbalance < max(1e-6, transient.balance.expected)
        if power > 6:
            change = {name: found[6][name] + forms[power][name] - forms[6][name] for name in mesh.names}
            error = off(transient, change)
            verified(
                term="decay, contrast of diffusivities", against=f"two layers, 1e{power}, less what elements do",
                dim=mesh.mesh.topology.dim, cells=cells, degree=2, error=error,
            )  # fmt: skip
            assert error < transient.error


@pytest.mark.parametrize("linear", ["mumps", "cg"])
@pytest.mark.parametrize("diffusivity", some_on_ranks([1e-14, 1e-9, 1e-5], [1e-5]))
def test_fast_phases_that_exchange_slowly(linear, diffusivity, verified):
    """Two well-mixed phases, the one empty and decaying; nothing else: two rates of a matrix of two rows."""
    mesh = row("triangles", 6, ("near", "far"), thick=0.04)
    velocity = 1e-11
    end = 3 * EDGE / velocity
    x = velocity / EDGE
    rate = 2 * x
    media = (phase("near", diffusivity, initial=1000.0), phase("far", diffusivity, decay=rate))
    transient = solved(
        mesh, Physics(media, {}, (InterfaceLaw("near", "far", exchange=velocity),)), 2, end, 1e-6, linear
    )
    rates, modes = np.linalg.eigh(np.array([[-x, x], [x, -x - rate]]))
    c = modes @ (np.exp(np.outer(rates, transient.times)) * modes.T[:, :1])
    error = off(transient, dict(zip(mesh.names, c, strict=True)))
    verified(
        term="decay, contrast of diffusivities", against=f"well-mixed phases, D {diffusivity:g} m²/s", dim=2,
        cells="triangles", degree=2, error=error, balance=None,
    )  # fmt: skip
    assert error < transient.error + velocity * EDGE / diffusivity
    assert transient.balance.imbalance < max(1e-8, transient.balance.expected)


# --- whole runs ---

CLOSED = """
[phases.slab]
label = 1
role = "transport"
diffusivity = "1e-14 m^2/s"
porosity = 0.5
initial = "1 mol/L"
decay = "0.01 1/s"
"""
METHODS = {f"{dim}D {method}": (dim, method) for dim in (2, 3) for method in ("lattice", "voxel", "fitted")}
METHODS.pop("3D fitted")


@pytest.mark.parametrize("mesh", some_on_ranks(METHODS, ["2D fitted", "3D voxel"]))
def test_a_closed_image(mesh, tmp_path, caplog):
    """exp(-k t) of a whole image, its balance, and a message that is true."""
    dim, method = METHODS[mesh]
    folder = COMM.bcast(tmp_path)
    on_root(
        COMM, write_case, folder, np.ones((6, 5, 10)[3 - dim :]), phases=CLOSED,
        regions='[regions.all]\nphase = "slab"\n', mesh=f'[mesh]\nmethod = "{method}"\nsize_max = "40 nm"\n',
        time='[time]\nend = "200 s"\nsnapshots = []\n',
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        results = run_case(folder / "case.toml")
    found = curves(results)
    summary = json.loads((results / "summary.json").read_text())
    assert found["all"] == pytest.approx(1000.0 * np.exp(-0.01 * found["time_s"]), abs=1000 * 1e-4)
    assert summary["case"]["phases"]["slab"]["decay_per_s"] == 0.01
    assert summary["mass_balance"]["imbalance"] < 1e-6
    assert list(summary["mass_balance"]["inflow"]) == ["slab, decay"]
    assert summary["regions"]["all"]["t50_falling_s"] == pytest.approx(100 * np.log(2), rel=1e-3)
    said = [record.getMessage() for record in caplog.records]
    if COMM.rank == 0:
        assert len(said) == 1
        assert said[0].startswith("no source reaches the part of slab around")
        assert said[0].endswith(": the lithium in it decays")


def test_what_decays_within_an_element(tmp_path, caplog):
    """Lithium comes 1 nm deep on elements of 10 nm and more: the run says that the curves show the mesh."""
    image = np.ones((6, 44))
    image[:, :4] = 0
    source = '[phases.pore]\nlabel = 0\nrole = "source"\nconcentration = "1 mol/L"\n'
    phases = source + CLOSED.replace('initial = "1 mol/L"\n', "").replace("0.01 1/s", "2e4 1/s")
    times = '[time]\nend = "10 s"\nsnapshots = []\n'
    case = write_case(tmp_path, image, phases=phases, mesh="", time=times, regions="")
    with caplog.at_level(logging.WARNING):
        run_case(case, comm=MPI.COMM_SELF)
    (said,) = [text for text in (record.getMessage() for record in caplog.records) if "show the mesh" in text]
    assert said.startswith("in slab lithium diffuses 0.001 µm until it decays, less than a fifth of an element of ")
    assert "check diffusivity and decay" in said
