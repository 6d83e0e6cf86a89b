"""Fluxes, spreads over regions and profiles against closed forms: a slab that fills from one side, and two layers."""

import numpy as np
import pytest
from closed_forms import slab_mean, slab_profile
from layers import TwoLayers
from made_meshes import COMM, everywhere, rectangle

from microlith.solver.flows.phase_fluxes import phase_fluxes
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.laws import Constant, DiffusivityExpression
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.profiles import profiles
from microlith.solver.regions.shapes import Box, WholePhase
from microlith.solver.regions.spread import SpreadWatch
from microlith.solver.transient import solve

LENGTH, HEIGHT = 1e-5, 5e-7  # m
D, POROSITY = 2e-14, 0.5
SPEED = D / POROSITY
END = LENGTH**2 / SPEED
FED = {"x_min": FaceCondition(1000.0)}
MOMENTS = (0.05 * END, 0.3 * END)
BOX = (2.3e-6, 6.1e-6)  # with edges inside elements


def medium(name="medium", **more):
    return PhasePhysics(name, Role.TRANSPORT, **{"effective_diffusivity": D, "porosity": POROSITY, **more})


def run(mesh, physics, degree=2, tolerance=1e-6):
    """The problem, its solution, and the spreads seen."""
    problem = build(mesh, physics, degree, END)
    shapes = {"all": Box({"x": (0.0, 1.0)}), "box": Box({"x": BOX})}
    shapes |= {name: WholePhase(name) for name in mesh.names}
    means = region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
    watch = SpreadWatch(problem, means)
    nonlinear = any(phase.law is not None for phase in physics.phases)
    transient = solve(
        problem,
        means,
        TimeSpan(END, tolerance, MOMENTS),
        SolverOptions(),
        seen=watch.see,
        between=() if nonlinear else phase_fluxes(problem, physics),
    )
    return problem, transient, watch, means


def flux_into_slab(times):
    """Of the slab per height: the sum of the slopes of its modes at the held side (Crank, as slab_mean)."""
    k = (np.arange(3000) + 0.5) * np.pi / LENGTH
    return 1000 * 2 * D / LENGTH * np.exp(-np.outer(times, k**2 * SPEED)).sum(axis=1)


@pytest.mark.parametrize("law", [None, DiffusivityExpression(Constant(D), "as built by the test")])
def test_flux_into_a_slab(law, verified):
    """In closed form and step by step: catches a flux that misses what elements at the surface store, lost units."""
    physics = Physics((medium(law=law),), FED)
    _, transient, _, _ = run(rectangle(COMM, (40, 2), (10.0, 0.5)), physics, tolerance=1e-6 if law is None else 1e-5)
    fluxes = transient.fluxes()
    late = fluxes.times > 1e-3 * END
    exact = flux_into_slab(fluxes.times[late]) * HEIGHT
    error = np.abs(fluxes.rates["x_min"][late] / exact - 1).max()
    verified(
        term="flux into a slab" + (", step by step" if law else ""),
        against="Crank (1975), eq. 4.17",
        of="flux",
        dim=2,
        cells="triangles",
        degree=2,
        error=error,
    )
    assert error < (3e-3 if law is None else 2e-2)
    filled = slab_mean(fluxes.times, 0, LENGTH, LENGTH, SPEED) * 1000 * POROSITY * LENGTH * HEIGHT
    assert np.abs(fluxes.cumulated["x_min"] - filled)[late].max() < 1e-4 * filled[-1]
    # The balance closes to the error of integration in time, by far better than elements resolve the flux.
    assert np.abs(fluxes.cumulated["x_min"] - fluxes.stored).max() < 2e-6 * filled[-1]
    assert fluxes.total == ("x_min",)


def layers(thin_film=False):
    exchange = D / LENGTH if thin_film else None
    laws = (InterfaceLaw("near", "far", 0.7, exchange),)
    phases = medium("near"), medium("far", effective_diffusivity=D / 4, porosity=0.25)
    exact = TwoLayers((LENGTH / 2, LENGTH / 2), (D, D / 4), (POROSITY, 0.25), 0.7, exchange or np.inf, modes=300)
    return Physics(phases, FED, laws), exact


@pytest.mark.mpi
@pytest.mark.parametrize("film", [False, True])
def test_flux_between_two_layers(film, verified):
    """Continuous but for a partition, and through a film: catches a wrong sign, a missing κ, a matrix of both sides."""
    physics, exact = layers(film)
    mesh = rectangle(COMM, (40, 2), (10.0, 0.5), lambda x: x[0] > 5.0, ("near", "far"))
    _, transient, _, _ = run(mesh, physics)
    fluxes = transient.fluxes()
    assert list(fluxes.rates) == ["x_min", "near to far"]
    beyond = 1000 * 0.25 * LENGTH / 2 * HEIGHT
    passed = exact.mean(fluxes.times, LENGTH / 2, LENGTH) * beyond
    late = fluxes.times > 1e-2 * END
    error = np.abs(fluxes.cumulated["near to far"] - passed)[late].max() / passed[-1]
    verified(
        term="flux between phases" + (", through a film" if film else ""),
        against="series of eigenfunctions for two layers",
        of="what passes",
        dim=2,
        cells="triangles",
        degree=2,
        error=error,
    )
    assert error < 1e-4
    step = 1e-4 * fluxes.times[late]
    ends = (exact.mean(fluxes.times[late] + sign * step, LENGTH / 2, LENGTH) for sign in (1, -1))
    rate = np.subtract(*ends) * beyond / (2 * step)
    assert np.abs(fluxes.rates["near to far"][late] - rate).max() < 3e-3 * rate.max()
    # What is stored in the far layer came through the interface, to the error in time.
    stored = transient.curves["far"] * 0.25 * LENGTH / 2 * HEIGHT
    assert np.abs(fluxes.cumulated["near to far"] - stored).max() < 1e-6 * stored[-1]


@pytest.mark.parametrize("faster", [0.25, 4.0, None])
def test_what_enters_each_phase_is_what_it_stores(faster):
    """Side by side and both fed, the flux between told by either side; and three phases that meet in a point (None)."""
    names = ("near", "far") if faster else ("near", "far", "third")

    def phase_of(x):
        return (x[1] > 2.0) * (1 if faster else 1 + (x[0] > 5.0))

    mesh = rectangle(COMM, (20, 8), (10.0, 4.0), phase_of, names)
    phases = medium("near"), medium("far", effective_diffusivity=D * (faster or 4.0)), medium("third", porosity=0.25)
    _, transient, _, means = run(mesh, Physics(phases[: len(names)], FED))
    fluxes = transient.fluxes()
    fed = [name for name in names if name != "third"]
    into = {name: fluxes.cumulated[f"x_min to {name}"] for name in fed}
    assert np.abs(sum(into.values()) - fluxes.cumulated["x_min"]).max() < 1e-9 * fluxes.stored[-1]
    pairs = {tuple(name.split(" to ")): way for name, way in fluxes.cumulated.items() if " to " in name}
    assert len(pairs) == len(fed) + (1 if faster else 3)
    late = fluxes.times > 0
    for name, phase in zip(names, phases, strict=False):
        stored = transient.curves[name] * phase.porosity * means[name].solved_measure
        gained = sum(way for (_, to), way in pairs.items() if to == name)
        lost = sum((way for (origin, _), way in pairs.items() if origin == name), np.zeros_like(stored))
        assert np.abs(lost).max() > 0.01 * stored[-1] or name != "near"
        assert np.abs(gained - lost - stored)[late].max() < 2e-6 * stored[-1], name


@pytest.mark.mpi
def test_spread_over_regions(verified):
    """The slab rises and falls along x only, so quantiles by volume are its concentrations at known places."""
    _, transient, watch, _ = run(rectangle(COMM, (40, 2), (10.0, 0.5)), Physics((medium(),), FED))
    times, spreads = watch.spreads()
    assert times[0] == 0.0
    assert times[-1] == END
    among = np.concatenate([transient.times, MOMENTS])
    assert all(np.isclose(among, time, rtol=1e-12).any() for time in times[1:])
    late = np.flatnonzero(times > 2e-2 * END)
    error = 0.0
    for name, (low, high) in {"all": (0.0, LENGTH), "box": BOX}.items():
        places = high - np.array([0.0, 0.05, 0.95, 1.0]) * (high - low)
        spread = spreads[name]
        found = np.array([spread.least, *spread.quantiles, spread.largest])[:, late]
        exact = np.array([1 - slab_profile(places, time, LENGTH, SPEED) for time in times[late]]).T
        error = max(error, float(np.abs(found / 1000 - exact).max()))
    verified(
        term="quantiles over regions",
        against="Crank (1975), eq. 4.17",
        dim=2,
        cells="triangles",
        degree=2,
        error=error,
    )
    assert error < 1e-3


@pytest.mark.mpi
def test_profile_through_the_depth(verified):
    """Means over slabs along x, exact integrals that cut elements; along y the concentration is the same everywhere."""
    mesh = rectangle(COMM, (33, 3), (10.0, 0.5))
    physics = Physics((medium(),), FED)
    problem, transient, _, _ = run(mesh, physics)
    states = [None, *(transient.owned(moment) for moment in MOMENTS)]
    along_x, along_y = profiles(problem, physics.solved, states)
    assert (along_x.means[0, 0] == 0.0).all()
    worst = 0.0
    for number, moment in enumerate(MOMENTS, start=1):
        for i in range(50):
            low, high = along_x.edges[i : i + 2]
            (exact,) = slab_mean([moment], low, high, LENGTH, SPEED)
            worst = max(worst, abs(along_x.means[0, number, i] / 1000 - exact))
        (whole,) = slab_mean([moment], 0, LENGTH, LENGTH, SPEED)
        assert np.abs(along_y.means[0, number] / 1000 - whole).max() < 2e-3
    verified(
        term="profile through the depth",
        against="Crank (1975), eq. 4.17",
        dim=2,
        cells="triangles",
        degree=2,
        error=worst,
    )
    assert worst < 5e-4
    assert along_x.volumes.sum() == pytest.approx(LENGTH * HEIGHT, rel=1e-12)
    assert along_x.volumes[0] == pytest.approx(along_x.volumes.mean(), rel=1e-9)
