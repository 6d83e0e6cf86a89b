"""Surfaces particle by particle: against the slab's closed form on squares, cubes, disks and balls that are solved for
with the diffusivity of their surroundings, so that the concentration is known everywhere."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from closed_forms import slab_mean, slab_profile
from made_cases import COMM, run_case, write_case
from scipy import ndimage
from scipy.optimize import brentq

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.microstructure.particles import particles_of
from microlith.solver.regions.surface_means import share_above
from microlith.solver.times import first_times
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.pictures.particle_distances import draw_distances
from microlith.workflow.prepare.assemble import prepared
from microlith.workflow.results.particles import particle_summary, particle_tables

SHELF = 4  # voxels of pores at x_min
D = 2e-14
REFERENCE = 1000.0
VOXEL = 10e-9
SNAPSHOTS = (0.5, 2.0)


SAME = f'role = "transport"\ndiffusivity = "{D} m^2/s"'  # particles in which all goes on as around them


def case_of(folder, image, method="voxel", degree=2, particle=SAME, **more):
    sei = more.pop("sei", "")
    pore = more.pop("pore", f'role = "source"\nconcentration = "{REFERENCE} mol/m^3"')
    phases = f"""
[phases.pore]
label = 0
{pore}

[phases.sei]
label = 1
role = "transport"
diffusivity = "{D} m^2/s"
{sei}

[phases.particle]
label = 2
{particle}
"""
    size = more.pop("size", "")
    mesh = f'[mesh]\nmethod = "{method}"\ndegree = {degree}\nestimate = false\n{size}'
    snapshots = ", ".join(f'"{t} s"' for t in more.pop("snapshots", SNAPSHOTS))
    end, tolerance = more.pop("end", 20), more.pop("tolerance", 1e-6)
    time = f'[time]\nend = "{end} s"\ntolerance = {tolerance}\nsnapshots = [{snapshots}]\n'
    regions = more.pop("regions", '[regions.particles]\nsurface = "particle"\n')
    if COMM.rank == 0:
        write_case(folder, image, phases=phases, mesh=mesh, time=time, regions=regions, **more)
    COMM.Barrier()
    return load_case(folder / "case.toml")


def solved(case, comm=COMM):
    """The tables of a case, the solution, and what it was made of."""
    ready = prepared(case, comm)
    transient = solve(ready.problem, ready.means, case.time, case.solver, extra=ready.surfaces.rows)
    tables = particle_tables(
        ready.surfaces,
        ready.meshed.mesh,
        ready.case.physics,
        ready.problem,
        transient,
        case.time.end,
        case.time.snapshots,
    )
    return tables, transient, ready


def profile(image):
    """c(x, t) in mol/m^3, x in voxels from the image's side, and its mean over an interval, of a slab behind SHELF."""
    length = image.shape[-1] - SHELF

    def at(x, t):
        return REFERENCE * (1 - slab_profile(np.atleast_1d(x) - SHELF, t, length, D / VOXEL**2))

    def mean(a, b, t):
        return REFERENCE * slab_mean([t], a - SHELF, b - SHELF, length, D / VOXEL**2)[0]

    return at, mean


BOXES = {2: ((10, 16, 5), (24, 30, 3)), 3: ((7, 10, 2),)}  # first and last x, first y (and z)


def boxes(dim):
    """Squares (cubes) in a slab that fills from pores at its left."""
    image = np.ones((14, 40) if dim == 2 else (7, 7, 14), np.uint8)
    image[..., :SHELF] = 0
    for a, b, y in BOXES[dim]:
        image[(*(slice(y, y + b - a),) * (dim - 1), slice(a, b))] = 2
    return image


def box_reference(image, a, b, t):
    """Mean, standard deviation, least, most, and share above half on the surface of a square (cube) from a to b."""
    at, mean = profile(image)
    sides = 2 * (image.ndim - 1)  # those along x
    x = a + (np.arange(4000) + 0.5) * (b - a) / 4000
    along = at(x, t)
    ends = at([a, b], t)
    average = (ends.sum() + sides * mean(a, b, t)) / (2 + sides)
    squares = ((ends**2).sum() + sides * (along**2).mean()) / (2 + sides)
    front = np.interp(REFERENCE / 2, along[::-1], x[::-1], left=b, right=a)
    active = ((ends > REFERENCE / 2).sum() + sides * (front - a) / (b - a)) / (2 + sides)
    return average, np.sqrt(max(squares - average**2, 0.0)), ends[1], ends[0], active


def box_t50(image, a, b, level):
    return brentq(lambda t: box_reference(image, a, b, t)[0] - level * REFERENCE, 0.01, 200)


@pytest.mark.parametrize(("dim", "degree"), [(2, 1), pytest.param(2, 2, marks=pytest.mark.mpi), (2, 3), (3, 1), (3, 2)])
def test_boxes_in_a_slab(verified, tmp_path, dim, degree):
    """Mean, spread, extremes, active share and times; facets of the wrong side or particle would be off by tenths."""
    image = boxes(dim)
    folder = COMM.bcast(tmp_path)
    snapshots = {2: (0.5, 2.0), 3: (0.06, 0.2)}[dim]
    case = case_of(folder, image, degree=degree, tolerance=1e-9, snapshots=snapshots)
    (table,), transient, _ = solved(case)
    order = np.argsort(table.center[:, 0])
    errors, shares, times = [], [], []
    for i, (a, b, y) in zip(order, BOXES[dim], strict=True):
        edge = b - a
        assert table.center[i] == pytest.approx([(a + b) / 2 * VOXEL, *[(y + edge / 2) * VOXEL] * (dim - 1)])
        assert table.measure[i] == pytest.approx((edge * VOXEL) ** dim)
        assert table.surface[i] == pytest.approx(2 * dim * (edge * VOXEL) ** (dim - 1))
        assert table.distance[i] == pytest.approx((a - SHELF) * VOXEL)
        assert table.facing[i] == 1.0
        assert not table.on_frame[i]
        for t, state in zip(snapshots, table.states, strict=True):
            got = np.array([state.mean[i], state.deviation[i], state.least[i], state.most[i]]) / REFERENCE
            mean, deviation, least, most, active = box_reference(image, a, b, t)
            errors.append(np.abs(got - np.array([mean, deviation, least, most]) / REFERENCE).max())
            shares.append(state.active[i] - active)
        times += [table.t50[i] / box_t50(image, a, b, 0.5) - 1, table.t90[i] / box_t50(image, a, b, 0.9) - 1]
    verified(
        term="surface of particles: mean, spread, extremes",
        against="a slab's profile (Crank 1975, eq. 4.17), integrated over squares and cubes",
        dim=dim,
        cells="squares" if dim == 2 else "cubes",
        degree=degree,
        error=max(errors),
        balance=transient.balance.imbalance,
    )
    verified(
        term="surface of particles: share above half the source's concentration",
        against="where a slab's profile (Crank 1975, eq. 4.17) is above it, on squares and cubes",
        dim=dim,
        cells="squares" if dim == 2 else "cubes",
        degree=degree,
        error=np.abs(shares).max(),
        of="share",
        balance=transient.balance.imbalance,
    )
    verified(
        term="surface of particles: times of 50 and 90 %",
        against="roots of a slab's mean (Crank 1975, eq. 4.17) over squares and cubes",
        dim=dim,
        cells="squares" if dim == 2 else "cubes",
        degree=degree,
        error=np.abs(times).max(),
        of="time",
        balance=transient.balance.imbalance,
    )
    print(max(errors), np.abs(shares).max(), np.abs(times).max(), transient.balance.imbalance, transient.solves)
    assert max(errors) < {1: 2e-3, 2: 5e-6, 3: 1e-7}[degree]
    assert np.abs(shares).max() < {1: 5e-3, 2: 2e-4, 3: 1e-4}[degree]
    assert np.abs(times).max() < {1: 5e-3, 2: 2e-5, 3: 1e-5}[degree]
    assert transient.balance.imbalance < 1e-8


@pytest.mark.parametrize("degree", [1, 2])
def test_order_on_boxes(verified, tmp_path, degree):
    """Pixels in halves: the mean on a square's surface converges as fast as the field does at least."""
    image = boxes(2)
    (a, b, _), *_ = BOXES[2]
    exact = box_reference(image, a, b, SNAPSHOTS[0])[0]
    errors = []
    for fine in (1, 2):
        finer = image.repeat(fine, axis=0).repeat(fine, axis=1)
        case = case_of(tmp_path / str(fine), finer, degree=degree, tolerance=1e-10, voxel=f"{10 / fine} nm")
        (table,), transient, _ = solved(case, MPI.COMM_SELF)
        errors.append(abs(table.states[0].mean[np.argmin(table.center[:, 0])] - exact) / REFERENCE)
    order = np.log2(errors[0] / errors[1])
    verified(
        term="surface of particles: mean",
        against="a slab's mean and profile (Crank 1975, eq. 4.17) over a square",
        dim=2,
        cells="squares",
        degree=degree,
        error=errors[1],
        order_space=order,
        balance=transient.balance.imbalance,
    )
    print(errors, order)
    assert order > degree + 0.8
    assert transient.balance.imbalance < 1e-8


def disks():
    """Disks of several sizes, two of them a pixel apart, in the same slab: image, and (x, y, radius) of each."""
    image = np.ones((60, 64), np.uint8)
    image[:, :SHELF] = 0
    y, x = np.mgrid[0:60, 0:64] + 0.5
    places = [(16.0, 14.0, 8.0), (38.0, 18.0, 12.0), (20.0, 42.0, 12.0), (54.0, 46.0, 6.0), (41.0, 46.0, 6.0)]
    for cx, cy, r in places:
        image[np.hypot(x - cx, y - cy) < r] = 2
    return image, np.array(places)


def circle_reference(image, x, radius, t):
    """Mean, standard deviation and share above half on a circle."""
    around = profile(image)[0](x + radius * np.cos((np.arange(2000) + 0.5) * np.pi / 2000), t)
    return around.mean(), around.std(), (around > REFERENCE / 2).mean()


@pytest.mark.parametrize("method", ["fitted", "lattice"])
def test_disks_in_a_slab(verified, tmp_path, method):
    """Smooth meshes: every facet finds its particle, also where another one is near."""
    image, places = disks()
    folder = COMM.bcast(tmp_path)
    case = case_of(folder, image, method, size='size = { particle = "15 nm" }\nsize_max = "40 nm"\n', tolerance=1e-8)
    (table,), transient, ready = solved(case)
    assert len(table.numbers) == len(places)
    errors, times = [], []
    for i, center in enumerate(table.center / VOXEL):
        x, y, r = places[np.argmin(np.hypot(*(places[:, :2] - center).T))]
        assert center == pytest.approx([x, y], abs=0.05)
        assert table.measure[i] == pytest.approx(np.pi * (r * VOXEL) ** 2, rel=0.03)
        assert table.diameter[i] == pytest.approx(2 * r * VOXEL, rel=0.02)
        r = table.diameter[i] / (2 * VOXEL)  # of a disk as large as all its pixels, which the mesh keeps
        assert table.surface[i] == pytest.approx(2 * np.pi * r * VOXEL, rel=0.01)
        assert table.distance[i] == pytest.approx((x - r - SHELF) * VOXEL, abs=0.3 * VOXEL)
        for t, state in zip(SNAPSHOTS, table.states, strict=True):
            mean, deviation, active = circle_reference(image, x, r, t)
            errors += [abs(state.mean[i] - mean) / REFERENCE, abs(state.deviation[i] - deviation) / REFERENCE]
            errors += [abs(state.active[i] - active) / 2]  # of a share more is off where the surface is
        exact = brentq(lambda t, x=x, r=r: circle_reference(image, x, r, t)[0] - 0.5 * REFERENCE, 0.1, 200)
        times.append(table.t50[i] / exact - 1)
    verified(
        term="surface of particles: mean, spread, active share",
        against="a slab's profile (Crank 1975, eq. 4.17), integrated over circles; the image has them in pixels",
        dim=2,
        cells="triangles",
        degree=2,
        error=max(errors),
        balance=transient.balance.imbalance,
    )
    print(max(errors), np.abs(times).max(), transient.balance.imbalance)
    assert max(errors) < {"fitted": 2e-3, "lattice": 0.01}[method]
    assert np.abs(times).max() < 0.01
    assert transient.balance.imbalance < 1e-8
    curve = transient.curves["particles"]
    weighted = (table.surface * table.states[1].mean).sum() / table.surface.sum()
    assert curve[transient.times == SNAPSHOTS[1]] == pytest.approx(weighted)
    assert ready.means["particles"].solved_measure == pytest.approx(table.surface.sum())


def test_balls_in_a_slab(verified, tmp_path):
    """Tetrahedra on the lattice; the share of a sphere before a plane goes with its depth."""
    shape = (18, 18, 40)
    image = np.ones(shape, np.uint8)
    image[..., :SHELF] = 0
    z, y, x = np.mgrid[0 : shape[0], 0 : shape[1], 0 : shape[2]] + 0.5
    places = [(13.0, 7.0), (31.0, 5.0)]
    for cx, r in places:
        image[np.sqrt((x - cx) ** 2 + (y - 9) ** 2 + (z - 9) ** 2) < r] = 2
    folder = COMM.bcast(tmp_path)
    size = 'size = { particle = "20 nm" }\nsize_max = "40 nm"\n[solver]\nlinear = "mumps"\n'
    (table,), transient, _ = solved(case_of(folder, image, "lattice", 2, size=size, tolerance=1e-8))
    at, mean_over = profile(image)
    errors = []
    for i in range(2):
        x, r = places[np.argmin(np.abs(np.array(places)[:, 0] - table.center[i, 0] / VOXEL))]
        assert table.surface[i] == pytest.approx(4 * np.pi * (r * VOXEL) ** 2, rel=0.05)
        assert table.diameter[i] == pytest.approx(2 * r * VOXEL, rel=0.02)
        assert table.distance[i] == pytest.approx((x - r - SHELF) * VOXEL, abs=0.5 * VOXEL)
        for t, state in zip(SNAPSHOTS, table.states, strict=True):
            along = at(np.linspace(x - r, x + r, 2001), t)
            mean = mean_over(x - r, x + r, t)
            errors += [abs(state.mean[i] - mean) / REFERENCE, abs(state.deviation[i] - along.std()) / REFERENCE]
            errors += [abs(state.active[i] - (along > REFERENCE / 2).mean()) / 2]
    verified(
        term="surface of particles: mean, spread, active share",
        against="a slab's mean and profile (Crank 1975, eq. 4.17) over spheres; the image has them in voxels",
        dim=3,
        cells="tetrahedra",
        degree=2,
        error=max(errors),
        balance=transient.balance.imbalance,
    )
    print(max(errors), transient.balance.imbalance)
    assert max(errors) < 0.01
    assert transient.balance.imbalance < 1e-8


@pytest.mark.parametrize("particle", ['role = "barrier"', 'role = "sink"\nuptake = "1e-7 m/s"'])
def test_walls_that_are_not_solved_for(verified, tmp_path, particle):
    """Two particles that close a slab each, at unlike distances from the pore between them."""
    image = np.ones((4, 44), np.uint8)
    image[:, :5], image[:, 36:] = 2, 2
    image[:, 17:21] = 0
    (table,), transient, _ = solved(case_of(COMM.bcast(tmp_path), image, particle=particle, tolerance=1e-9))
    velocity = 0.0 if "barrier" in particle else 1e-7
    assert table.on_frame.all()
    assert table.distance == pytest.approx(np.array([12, 15]) * VOXEL)
    errors = []
    for i, length in enumerate((12 * VOXEL, 15 * VOXEL)):
        for t, state in zip(SNAPSHOTS, table.states, strict=True):
            exact = end_of_slab(t, length, velocity)
            errors.append(abs(state.mean[i] / REFERENCE - exact))
            assert state.active[i] == (exact > 0.5)
        if velocity == 0.0:
            exact = brentq(lambda t, length=length: end_of_slab(t, length, 0.0) - 0.5, 0.1, 20)
            assert table.t50[i] == pytest.approx(exact, rel=2e-5)
    verified(
        term="surface of particles that are " + ("barriers" if velocity == 0.0 else "sinks"),
        against="end of a slab, closed or with first-order uptake (Carslaw and Jaeger 1959, §3.11)",
        dim=2,
        cells="squares",
        degree=2,
        error=max(errors),
        balance=transient.balance.imbalance,
    )
    assert max(errors) < 2e-6
    assert transient.balance.imbalance < 1e-8


def end_of_slab(t, length, velocity):
    """c at the end of a slab with c = 1 held at its start, where −D ∂c/∂x = k c: separation of variables."""
    biot = velocity * length / D
    roots = np.array(
        [
            brentq(lambda q: q * np.cos(q) + biot * np.sin(q), (n + 0.5) * np.pi - 1e-9, (n + 1) * np.pi)
            for n in range(40)
        ]
    )
    norm = 0.5 - np.sin(2 * roots) / (4 * roots)
    slope = biot / (1 + biot)
    moment = (1 - np.cos(roots)) / roots - slope * (np.sin(roots) / roots**2 - np.cos(roots) / roots)
    return 1 - slope - (moment / norm * np.sin(roots)) @ np.exp(-(roots**2) * D * t / length**2)


@pytest.mark.mpi
def test_concentration_is_that_of_the_surroundings(tmp_path):
    """Where it jumps at the surface, c_particle = 3 c_sei in equilibrium, the outer side counts."""
    interface = '[[interfaces]]\nbetween = ["sei", "particle"]\npartition = 3.0\n'
    (table,), transient, _ = solved(case_of(COMM.bcast(tmp_path), boxes(2), end=2000, more=interface))
    assert transient.extra(np.array([2000.0]))[:, 0] == pytest.approx([REFERENCE] * 2, rel=1e-5)
    assert (table.states[1].most < REFERENCE).all()
    assert np.isfinite(table.t90).all()


@pytest.mark.mpi
def test_pores_that_are_solved_for(verified, tmp_path):
    """Pores fed by a face: particles face two solved phases, and there is no source to be far from."""
    image = boxes(2)
    image[6:12, 8:20] = 0  # a pore around the first particle's upper part
    image[5:11, 10:16] = 2
    face = f'[faces.x_min]\nconcentration = "{REFERENCE} mol/m^3"\n'
    case = case_of(COMM.bcast(tmp_path), image, pore=SAME, more=face, tolerance=1e-9)
    (table,), transient, ready = solved(case)
    i = np.argmin(table.center[:, 0])
    shares = ready.means["particles"].phase_shares
    assert (shares[:2] > 0.2).all()
    assert table.facing[i] == 1.0
    assert np.isnan(table.distance).all()
    assert not draw_distances(tmp_path / "none.png", "title", (table,), 20.0)
    errors = []
    for t, state in zip(SNAPSHOTS, table.states, strict=True):
        ends = 1 - slab_profile(np.array([10.0, 16.0]), t, 40, D / VOXEL**2)
        exact = (ends.sum() + 2 * slab_mean([t], 10, 16, 40, D / VOXEL**2)[0]) / 4
        errors.append(abs(state.mean[i] / REFERENCE - exact))
    verified(
        term="surface of particles in two solved phases",
        against="a slab's mean and profile (Crank 1975, eq. 4.17) over a square",
        dim=2,
        cells="squares",
        degree=2,
        error=max(errors),
        balance=transient.balance.imbalance,
    )
    assert max(errors) < 1e-6
    assert transient.balance.imbalance < 1e-8


def test_full_is_what_is_in_equilibrium(tmp_path):
    """Particles amid SEI that holds a tenth of what is at the pore's surface, behind a layer of another phase."""
    image = boxes(2)
    image[:, SHELF : SHELF + 2] = 3
    more = f'[phases.layer]\nlabel = 3\nrole = "transport"\ndiffusivity = "{D} m^2/s"\n'
    more += '[[interfaces]]\nbetween = ["layer", "sei"]\npartition = 0.1\n'
    case = case_of(tmp_path, image, particle='role = "barrier"', end=2000, more=more, snapshots=(0.02, 2000.0))
    (table,), transient, _ = solved(case, MPI.COMM_SELF)
    assert transient.extra(np.array([2000.0]))[:, 0] == pytest.approx(table.states[1].mean)
    assert table.states[1].mean == pytest.approx([0.1 * REFERENCE] * 2, rel=1e-5)
    assert table.states[1].active == pytest.approx([1.0, 1.0])
    assert table.states[0].active == pytest.approx([0.0, 0.0])
    assert (table.t90 < 100).all()
    assert (table.t50 < table.t90).all()


def test_surfaces_that_empty(tmp_path):
    """The mirror image of filling: half from the start, and the time of falling is that of the other's t50."""
    image = boxes(2)
    start = f'initial = "{REFERENCE} mol/m^3"'
    pore = 'role = "source"\nconcentration = "0 mol/L"'
    case = case_of(tmp_path, image, pore=pore, sei=start, particle=f"{SAME}\n{start}", tolerance=1e-9)
    (table,), transient, _ = solved(case, MPI.COMM_SELF)
    order = np.argsort(table.center[:, 0])
    exact = [box_t50(image, a, b, 0.5) for a, b, _ in BOXES[2]]
    assert table.t50.tolist() == table.t90.tolist() == [0.0, 0.0]
    assert table.t50_falling[order] == pytest.approx(exact, rel=2e-3)
    assert transient.first_time("particles", 0.5 * REFERENCE) == 0.0
    falls = transient.falling_time("particles", 0.5 * REFERENCE)
    assert exact[0] < falls < exact[1]
    assert transient.falling_time("particles", -1.0) is None
    entry = particle_summary(table)
    assert entry["count_half_from_the_start"] == 2
    assert entry["count_never_half"] == 0


def test_surfaces_that_stay_full(tmp_path):
    """Nothing but the rounding of a start moves; a particle that touches pores only has no time at all."""
    image = boxes(2)
    image[5:7, 0:2] = 2
    start = f'initial = "{REFERENCE} mol/m^3"'
    case = case_of(tmp_path, image, sei=start, particle='role = "barrier"')
    (table,), transient, _ = solved(case, MPI.COMM_SELF)
    bare = table.surface == 0
    assert bare.sum() == 1
    for times, expected in ((table.t50, 0.0), (table.t90, 0.0), (table.t50_falling, np.inf)):
        assert (times[~bare] == expected).all()
        assert np.isnan(times[bare]).all()
    assert transient.first_time("particles", 0.9 * REFERENCE) == 0.0
    assert transient.falling_time("particles", 0.5 * REFERENCE) is None
    entry = particle_summary(table)
    assert (entry["count_with_surface"], entry["count_half_from_the_start"], entry["count_never_half"]) == (2, 2, 0)


def test_at_the_start_particles_have_what_they_start_with(tmp_path):
    """Also where they touch a pore, whose concentration is held: no trace of the step between the two."""
    image = np.ones((12, 20), np.uint8)
    image[:, :SHELF] = 0
    image[3:9, SHELF:10], image[3:9, 13:17] = 2, 2
    (table,), _, _ = solved(case_of(tmp_path, image, end=2, snapshots=(0.0, 1.0)), MPI.COMM_SELF)
    start, later = table.states
    for of_all in (start.mean, start.least, start.most, start.active, start.deviation):
        assert of_all.tolist() == [0.0, 0.0]
    assert (later.mean > 0.0).all()


@pytest.mark.skipif(COMM.size == 1, reason="compares ranks with one alone")
@pytest.mark.mpi
@pytest.mark.parametrize(("method", "dim"), [("fitted", 2), ("lattice", 2), ("voxel", 3)])
def test_any_number_of_ranks(tmp_path, method, dim):
    image = disks()[0] if dim == 2 else boxes(3)
    case = case_of(COMM.bcast(tmp_path), image, method, 1, particle='role = "barrier"', tolerance=1e-5)
    (many,), _, _ = solved(case)
    (one,), _, _ = solved(case, MPI.COMM_SELF)
    for name in ("measure", "center", "distance", "surface", "facing", "t50", "t90"):
        assert getattr(many, name) == pytest.approx(getattr(one, name), rel=1e-5, nan_ok=True), name
    for a, b in zip(many.states, one.states, strict=True):
        for name in ("mean", "deviation", "least", "most"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-5, abs=1e-5 * REFERENCE), name
        assert a.active == pytest.approx(b.active, abs=1e-4)


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [(40, 60), (14, 24, 20)])
def test_particles_of_an_image(shape, monkeypatch):
    """Number, size, middle, contacts and place of each, as SciPy and counting by hand have them."""
    monkeypatch.setattr("microlith.imaging.parallel.large_arrays.VALUES_AT_ONCE", 700)
    field = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), 1.5)
    image = np.digitize(field, np.quantile(field, [0.3, 0.6])).astype(np.uint8)
    edge = np.array([2e-9, 1e-9, 1e-9][-len(shape) :])
    whole = LabelImage(image, ("a", "b", "c"), tuple(edge), shape) if COMM.rank == 0 else None
    particles = particles_of(volume_of(whole, COMM), [2, 0], COMM)
    first = 0
    for phase in (2, 0):
        label, count = ndimage.label(image == phase)
        number = np.arange(1, count + 1)
        order = np.argsort(ndimage.minimum(np.arange(image.size).reshape(shape), label, number))
        mine = slice(first, first + count)
        assert (particles.phase[mine] == phase).all()
        assert (particles.voxels[mine] == ndimage.sum_labels(image == phase, label, number)[order]).all()
        middles = np.array(ndimage.center_of_mass(image == phase, label, number))[order] + 0.5
        assert particles.center[mine, ::-1] == pytest.approx(middles * edge)
        contacts = np.zeros((count, 3))
        rim = np.zeros(count, bool)
        for axis in range(len(shape)):
            phases, labels = np.moveaxis(image, axis, 0), np.moveaxis(label, axis, 0)
            for a, b in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
                border = (labels[a] > 0) & (phases[b] != phase)
                np.add.at(contacts, (labels[a][border] - 1, phases[b][border]), np.prod(edge) / edge[axis])
            rim[np.unique(labels[[0, -1]][labels[[0, -1]] > 0]) - 1] = True
        assert particles.interface_size[mine] == pytest.approx(contacts[order])
        assert (particles.on_frame[mine] == rim[order]).all()
        voxels = np.stack(np.nonzero(image == phase), axis=1)[COMM.rank :: COMM.size]
        rank = np.empty(count, int)
        rank[order] = np.arange(count)
        assert (particles.numbers_at(voxels[:, ::-1]) == first + rank[label[tuple(voxels.T)] - 1]).all()
        first += count
    assert first == len(particles)
    if len(shape) == 3:
        corners, of_face = particles.bare_faces([1])
        assert (np.ptp(corners, axis=1).sum(axis=1) == 2).all()
        assert (of_face >= 0).all()
        count = COMM.allreduce(len(of_face))
        frame = sum(int((np.moveaxis(image, axis, 0)[end] != 1).sum()) for axis in range(3) for end in (0, -1))
        inner = sum(
            int((np.moveaxis(image, axis, 0)[a] == 1)[np.moveaxis(image, axis, 0)[b] != 1].sum())
            for axis in range(3)
            for a, b in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1)))
        )
        assert count == frame + inner


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [(30, 40), (9, 14, 12)])
@pytest.mark.parametrize("periodic", [(0,), (1,), (0, 1), (2, 1)], ids=str)
def test_particles_of_a_periodic_image(shape, periodic):
    """The same wherever the image is cut along its periodic axes; nothing else is."""
    periodic = tuple(axis for axis in periodic if axis < len(shape))
    noise = np.random.default_rng(4).standard_normal(shape)
    image = np.digitize(ndimage.gaussian_filter(noise, 1.3, mode="wrap"), [0.09, 0.16]).astype(np.uint8)
    edge = np.array([3e-9, 2e-9, 1e-9][-len(shape) :])
    axes = [len(shape) - 1 - axis for axis in periodic]
    found = []
    for steps in ((0, 0), (13, 5), (7, 21)):
        steps = [step % shape[axis] for step, axis in zip(steps, axes, strict=False)]
        rolled = np.roll(image, steps, axes)
        whole = LabelImage(rolled, ("a", "b", "c"), tuple(edge), shape) if COMM.rank == 0 else None
        particles = particles_of(replace(volume_of(whole, COMM), periodic=periodic), [2], COMM)
        back = np.zeros(len(shape))
        back[list(periodic)] = steps
        middles = (particles.center / edge[::-1] - back) % np.array(shape[::-1])
        rows = np.column_stack([particles.voxels, particles.on_frame, particles.interface_size, np.round(middles, 6)])
        spread = [_goes_round(rolled, particles, number, axes) for number in range(len(particles))]
        rows[spread, -len(shape) :] = 0
        found.append(rows[np.lexsort(np.round(rows.T[::-1], 3))])
        assert particles.voxels.sum() == np.count_nonzero(image == 2)
    assert len(found[0]) > 4
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=2e-6)


def _goes_round(image, particles, number, axes):
    """Whether a particle meets itself through periodic faces, so that it has no middle."""
    places = np.stack(np.nonzero(image == 2), axis=1)
    mine = particles.numbers_at(places[:, ::-1]) == number
    there = np.zeros(image.shape, bool)
    there[tuple(places[mine].T)] = True
    label, _ = ndimage.label(np.tile(there, [4 if axis in axes else 1 for axis in range(image.ndim)]))
    one = [p + (image.shape[k] if k in axes else 0) for k, p in enumerate(places[mine][0])]
    return any(
        label[tuple(one)] == label[tuple(p + (image.shape[k] if k == axis else 0) for k, p in enumerate(one))]
        for axis in axes
    )


def test_particle_behind_a_rough_surface():
    """A point far from its particle, and one between two particles, find the one that lies inwards."""
    image = np.ones((20, 30), np.uint8)
    image[5:9, 5:9], image[5:9, 10:14] = 2, 2
    particles = particles_of(
        volume_of(LabelImage(image, ("a", "b", "c"), (1e-9,) * 2, ()), MPI.COMM_SELF), [2], MPI.COMM_SELF
    )
    points = np.array([[9.3, 7.0], [9.7, 7.0], [20.0, 7.0], [9.5, 6.0]])
    inwards = np.array([[-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    number, searched = particles.behind(2, points, inwards)
    assert number.tolist() == [0, 1, 1, 0]
    assert searched == 1


def test_first_times():
    tau = np.array([0.1, 1.0, 30.0, 1e4])

    def values(t):
        return 1 - np.exp(-t / tau[:, None])

    found, none = first_times(values, np.full(4, 0.5), 100.0)
    assert np.isinf(none).all()
    assert found[:3] == pytest.approx(tau[:3] * np.log(2), rel=1e-5)
    assert found[3] == np.inf
    start, falling = first_times(lambda t: 1 - values(t), np.full(4, 0.5), 100.0)
    assert start.tolist() == [0.0] * 4
    assert falling[3] == np.inf
    assert falling[:3] == pytest.approx(tau[:3] * np.log(2), rel=1e-5)
    still, never = first_times(lambda t: np.full((1, len(t)), 0.5), np.array([0.5]), 1.0)
    assert (still[0], never[0]) == (0.0, np.inf)
    # It starts at the target but for rounding, leaves it and comes back: that is reached at the start.
    for c in (0.5 - 1e-16, 0.5, 0.5 + 1e-15):
        found, falling = first_times(lambda t, c=c: c + np.cos(t) - 1 + 0 * t[None], np.array([0.5]), 10.0)
        assert found[0] == 0.0
        assert 0.0 < falling[0] < 0.01


def test_share_of_a_facet_above():
    rng = np.random.default_rng(3)
    corners = rng.uniform(size=(50, 3))
    u, v = rng.uniform(size=(2, 200_000))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    field = corners[:, :1] + (corners[:, 1:2] - corners[:, :1]) * u + (corners[:, 2:] - corners[:, :1]) * v
    assert share_above(corners, 0.5) == pytest.approx((field > 0.5).mean(axis=1), abs=5e-3)
    ends = np.array([[0.0, 1.0], [0.8, 0.6], [0.1, 0.2], [0.25, 0.75], [1.0, 0.4]])
    assert share_above(ends, 0.5) == pytest.approx([0.5, 1.0, 0.0, 0.5, 0.5 / 0.6])


@pytest.mark.mpi
def test_files(tmp_path):
    """particles.csv, the summary and the pictures of a run, with two regions and particles that are never reached."""
    image = np.ones((30, 40), np.uint8)
    image[:, :4] = 0
    image[3:9, 6:12], image[20:26, 30:36] = 2, 2
    image[10:16, 20:30], image[12:14, 23:26] = 3, 2  # the last within a barrier
    folder = COMM.bcast(tmp_path)
    regions = '[regions.near]\nsurface = "particle"\nthreshold = 0.9\n[regions.walls]\nsurface = "wall"\n'
    more = '[phases.wall]\nlabel = 3\nrole = "barrier"\n'
    case_of(folder, image, "fitted", 1, 'role = "barrier"', regions=regions, more=more, end=2, tolerance=1e-3)
    output = run_case(folder / "case.toml")
    COMM.Barrier()
    lines = (output / "particles.csv").read_text(encoding="utf-8").splitlines()
    assert [line[0] for line in lines[:3]] == ["#"] * 3
    assert "area_m2" in lines[2]
    rows = list(csv.DictReader(lines[3:]))
    assert [(row["region"], row["id"]) for row in rows] == [("near", "1"), ("near", "2"), ("near", "3"), ("walls", "1")]
    near, inside, far, wall = rows
    assert float(near["area_m2"]) == pytest.approx(36e-16, rel=1e-6, abs=0)
    assert float(near["x_m"]) == pytest.approx(90e-9)
    assert float(near["source_distance_m"]) == pytest.approx(20e-9, abs=3e-9)
    assert 0 < float(near["t50_s"]) < 2
    assert (near["t90_s"], far["t50_s"]) == ("", "")
    assert (float(inside["surface_m"]), float(inside["facing"]), inside["mean_2s"]) == (0.0, 0.0, "")
    assert 0 < float(near["active_2s"]) <= 1
    assert float(near["min_2s"]) <= float(near["mean_2s"]) <= float(near["max_2s"])
    assert float(wall["facing"]) == pytest.approx(32 / 42)  # of its own edges and those of the hole
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert summary["particles"]["near"]["count"] == 3
    assert summary["particles"]["near"]["count_with_surface"] == 2
    assert summary["particles"]["near"]["count_never_half"] == 1
    assert summary["particles"]["near"]["t50_s"]["p10"] == pytest.approx(float(near["t50_s"]))
    assert summary["particles"]["near"]["t50_s"]["p90"] is None
    assert 0 < summary["particles"]["near"]["active_fraction"]["2 s"] < 1
    assert summary["regions"]["near"]["solved_length_m"] == pytest.approx(480e-9, rel=0.1)
    for name in ("particles.png", "particles-distance.png"):
        assert (output / name).stat().st_size > 20_000


@pytest.mark.parametrize(
    ("regions", "part"),
    [
        ('[regions.r]\nsurface = "pore"\n', "is a source"),
        ('[regions.r]\nsurface = "partikel"\n', "particle"),
        ('[regions.r]\nsurface = "particle"\nthreshold = 1.5\n', "threshold"),
        ('[regions.r]\nsurface = "sei"\n', "touches another transport phase"),
    ],
)
def test_surfaces_that_make_no_sense(tmp_path, regions, part):
    image = boxes(2)
    with pytest.raises(InputError, match=r"regions\.r") as error:
        prepared(case_of(tmp_path, image, particle='role = "barrier"', regions=regions), MPI.COMM_SELF)
    assert part in str(error.value)
