"""What passes a surface in proportion to its area: on voxels by the area in the image, elsewhere with a told error."""

import json

import numpy as np
import pytest
from made_cases import transport, write_case
from scipy.optimize import brentq
from scipy.special import j0, j1

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.solver.surfaces.passages import passages_of
from microlith.solver.surfaces.passing import passing
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.run.solved import solved
from microlith.workflow.run.surface_areas import AreaOff, area_errors

COMM = MPI.COMM_WORLD
D, VOXEL, FULL = 1e-14, 1e-8, 1000.0
MIDDLE = (0.3, -0.2, 0.1)


def uptake(times, radius, coefficient, dim):
    """Mean of a ball (disk) behind a transfer (Crank 1975, eqs. 6.44 and 5.48), per concentration outside."""
    biot = coefficient * radius / D

    def zero(b):
        return b * np.cos(b) - (1 - biot) * np.sin(b) if dim == 3 else b * j1(b) - biot * j0(b)

    grid = np.linspace(1e-6, 600.0, 60_000)
    ends = np.flatnonzero(np.diff(np.sign(zero(grid))))
    roots = np.array([brentq(zero, grid[i], grid[i + 1], xtol=1e-14) for i in ends])
    share = 6 / (roots**2 + biot * (biot - 1)) if dim == 3 else 4 / (roots**2 + biot**2)
    decay = np.exp(-np.outer(times * D / radius**2, roots**2))
    return 1 - decay @ (share * biot**2 / roots**2)


def ball(radius, dim):
    """An image of a ball (disk) of this radius, voxels."""
    at = np.indices((int(2 * radius) + 6,) * dim) + 0.5 - (int(2 * radius) + 6) / 2
    return (sum((x - m) ** 2 for x, m in zip(at, MIDDLE, strict=False)) < radius**2).astype(np.uint8)


def run(folder, image, phases, mesh, end, more="", regions='[regions.all]\nphase = "ball"\n'):
    """A case solved; collective."""
    time = f'[time]\nend = "{end:.9g} s"\ntolerance = 1e-5\nsnapshots = []\n'
    case = on_first_rank(
        COMM, lambda: write_case(folder, image, phases=phases, mesh=mesh, time=time, regions=regions, more=more)
    )
    return solved(load_case(case), COMM)


def bath(coefficient):
    return (
        f'[phases.bath]\nlabel = 0\nrole = "source"\nconcentration = "{FULL:g} mol/m^3"\n'
        f'mass_transfer = "{coefficient:.9g} m/s"\n'
    )


MESHES = {
    "squares": (2, 7.7, '[mesh]\nmethod = "voxel"\ndegree = 2\n'),
    "triangles": (2, 7.7, '[mesh]\nmethod = "fitted"\ndegree = 2\n'),
    "lattice of triangles": (2, 7.7, '[mesh]\nmethod = "lattice"\ndegree = 2\n'),
    "cubes": (3, 6.2, '[mesh]\nmethod = "voxel"\ndegree = 1\n'),
    "tetrahedra": (3, 6.2, '[mesh]\nmethod = "lattice"\ndegree = 1\n'),
    "tetrahedra, degree 2": (3, 6.2, '[mesh]\nmethod = "lattice"\ndegree = 2\n'),
}


@pytest.mark.mpi
@pytest.mark.parametrize("biot", [0.1, 1.0])
@pytest.mark.parametrize("which", MESHES)
def test_uptake_of_balls_behind_a_transfer(tmp_path, verified, which, biot):
    """By the area of the steps it is up to 145 mol/m³ of 1000 off, with 0.1 told; smooth meshes told a tenth."""
    dim, radius, mesh = MESHES[which]
    length = radius * VOXEL
    coefficient = biot * D / length
    end = 3 * length**2 / D * (1 / biot + 0.15)
    found = run(tmp_path, ball(radius, dim), bath(coefficient) + transport("ball", 1, "1e-14 m^2/s"), mesh, end)
    times = found.transient.times
    late = times >= 1e-3 * end
    off = np.abs(found.transient.curves["all"] - FULL * uptake(times, length, coefficient, dim))[late].max()
    told = found.errors["all"][late].max()
    verified(
        term="mass transfer", against="ball and disk behind a transfer, Crank eqs. 6.44 and 5.48", dim=dim,
        cells=which.removesuffix(", degree 2"), degree=int(mesh[mesh.index("degree") + 9]), error=off / FULL,
    )  # fmt: skip
    assert off < 6.0
    assert off < told < 12.0


@pytest.mark.mpi
def test_a_sink_of_voxels_takes_up_what_its_surface_can_hold(tmp_path):
    """By the area of its steps it would take up half as much again."""
    radius, capacity = 6.2, 1e-6
    phases = (
        transport("medium", 0, "1e-14 m^2/s")
        + 'initial = "1000 mol/m^3"\n'
        + '[phases.ball]\nlabel = 1\nrole = "sink"\n'
        + f'uptake = {{ rate = "1e-9 m/s", capacity = "{capacity} mol/m^2" }}\n'
    )
    image = ball(radius, 3)
    found = run(
        tmp_path, image, phases, '[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n', 20.0,
        regions='[regions.all]\nphase = "medium"\n',
    )  # fmt: skip
    volume = np.count_nonzero(image == 0) * VOXEL**3
    lost = (FULL - found.transient.curves["all"][-1]) * volume
    assert lost / (4 * np.pi * (radius * VOXEL) ** 2 * capacity) == pytest.approx(1.0, rel=0.01)


@pytest.mark.mpi
def test_an_exchange_between_voxels_passes_by_the_area_of_the_image(tmp_path):
    """Two phases, each well mixed: what is left of their difference falls exponentially with k A (1/V1 + 1/V2)."""
    radius, exchange = 6.2, 1e-9
    image = ball(radius, 3)
    phases = (
        transport("medium", 0, "1e-10 m^2/s") + transport("ball", 1, "1e-10 m^2/s") + 'initial = "1000 mol/m^3"\n'
        + f'[[interfaces]]\nbetween = ["medium", "ball"]\nexchange = "{exchange} m/s"\n'
    )  # fmt: skip
    inside, outside = (np.count_nonzero(image == value) * VOXEL**3 for value in (1, 0))
    rate = exchange * 4 * np.pi * (radius * VOXEL) ** 2 * (1 / inside + 1 / outside)
    found = run(tmp_path, image, phases, '[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n', 2.0 / rate)
    even = FULL * inside / (inside + outside)
    expected = even + (FULL - even) * np.exp(-rate * found.transient.times)
    assert np.abs(found.transient.curves["all"] - expected).max() < 4.0


@pytest.mark.mpi
def test_areas_are_in_the_summary_and_the_same_in_a_finer_variant(tmp_path):
    """Voxels that are divided have the same steps, and moved interfaces those of their own."""
    from microlith.imaging.image.half_voxel import Shift
    from microlith.workflow.studies.variant import Variant, solved_variant

    radius, biot = 5.3, 0.2
    length = radius * VOXEL
    coefficient = biot * D / length
    end = 2 * length**2 / D / biot
    phases = bath(coefficient) + transport("ball", 1, "1e-14 m^2/s")
    found = run(tmp_path, ball(radius, 3), phases, '[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n', end)
    (area,) = [area for area in found.ready.meshed.areas.values() if area is not None]
    assert area.image / (4 * np.pi * length**2) == pytest.approx(1.0, rel=0.01)
    assert 1.4 < area.mesh / area.image < 1.6
    finer = solved_variant(found.ready.meshed, Variant(coarseness=0.5), COMM)
    assert np.abs(finer.curves["all"] - found.transient.curves["all"]).max() < 5.0
    larger = solved_variant(
        found.ready.meshed, Variant(finer_image=True, shift=Shift(growing=(1,), yielding=(0,))), COMM
    )
    expected = FULL * uptake(larger.times, length + VOXEL / 2, coefficient, 3)
    assert np.abs(larger.curves["all"] - expected).max() < 0.03 * FULL


def test_times_of_particles_have_the_errors_of_areas(tmp_path):
    """A medium that is well mixed between a face that feeds it and a ball that takes lithium up, by the ball's area.

    On a lattice the ball's surface is some tenths of a per cent too large, and half-times are too late.
    """
    radius, feeds = 6.2, 1e-8
    image = ball(radius, 3)
    face, surface = (image.shape[0] * VOXEL) ** 2, 4 * np.pi * (radius * VOXEL) ** 2
    takes = 0.6 * feeds * face / surface
    volume = np.count_nonzero(image == 0) * VOXEL**3
    rate = (feeds * face + takes * surface) / volume
    half = -np.log(1 - 0.5 * 1.6) / rate
    phases = transport("medium", 0, "1e-10 m^2/s")
    phases += f'[phases.ball]\nlabel = 1\nrole = "sink"\nuptake = "{takes:.9g} m/s"\n'
    fed = f'[faces.x_min]\nconcentration = "1000 mol/m^3"\nmass_transfer = "{feeds} m/s"\n'
    mesh = '[mesh]\nmethod = "lattice"\n'
    found = run(tmp_path, image, phases, mesh, 5 * half, more=fed, regions='[regions.s]\nsurface = "ball"\n')
    (table,) = found.tables
    late = table.t50[0] / half - 1
    (of_region,) = found.figures
    assert 0.001 < late < 0.02
    assert late < table.t50_error[0] / half < 0.1
    assert table.t50_error[0] == pytest.approx(of_region.t50.error, rel=0.2)  # it is the only one of its region


def test_areas_are_told(tmp_path):
    from microlith.workflow.run import pipeline

    phases = bath(1e-9) + transport("ball", 1, "1e-14 m^2/s")
    time = '[time]\nend = "1 s"\nsnapshots = []\n'
    regions = '[regions.all]\nphase = "ball"\n'
    path = write_case(
        tmp_path, ball(6.2, 2), phases=phases, mesh='[mesh]\nmethod = "voxel"\n', time=time, regions=regions
    )
    pipeline.run(load_case(path), tmp_path / "results", False, MPI.COMM_SELF)
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    (told,) = summary["surface_areas"]
    assert told["phases"] == ["bath", "ball"]
    assert told["counts_as_length_m"] == pytest.approx(2 * np.pi * 6.2 * VOXEL, rel=0.02)
    assert told["mesh_length_m"] > 1.2 * told["image_length_m"]


@pytest.mark.parametrize(("biot_of_a_voxel", "measured"), [(50.0, True), (200.0, False)])
def test_areas_do_not_matter_where_a_transfer_nearly_holds_the_surface(tmp_path, biot_of_a_voxel, measured):
    """An area two per cent larger then changes the curve by less than 5e-4: it is not measured on smooth meshes."""
    coefficient = biot_of_a_voxel * D / VOXEL
    phases = transport("ball", 1, "1e-14 m^2/s")
    found = run(tmp_path, ball(7.7, 2), bath(coefficient) + phases, MESHES["triangles"][2], 0.3)
    assert bool(found.ready.meshed.areas) == measured
    if not measured:
        more = run(tmp_path / "more", ball(7.7, 2), bath(1.02 * coefficient) + phases, MESHES["triangles"][2], 0.3)
        late = found.transient.times >= 1e-3 * 0.3
        change = np.abs(more.transient.curves["all"] - found.transient.curves["all"])[late].max()
        assert change < 5e-4 * FULL


LINEAR = transport("ball", 1, "1e-14 m^2/s")
LAW = (
    '[phases.ball]\nlabel = 1\nrole = "transport"\ndiffusivity = { concentrations = ["0 mol/m^3", "1000 mol/m^3"], '
    'values = ["2e-15 m^2/s", "2e-14 m^2/s"], interpolation = "log" }\n'
)
PARTS = (
    '[regions.all]\nphase = "ball"\n[regions.left]\nin_phase = "ball"\nbox = { x = ["0 nm", "70 nm"] }\n'
    '[regions.core]\nin_phase = "ball"\nbox = { x = ["85 nm", "115 nm"], y = ["85 nm", "115 nm"] }\n'
)
SMOOTH = '[mesh]\nmethod = "lattice"\ndegree = 1\nestimate = false\n'
RATE = 1.0 * D / (7.7 * VOXEL)


def two_baths(part):
    return bath(part * RATE) + LINEAR + bath(3 * RATE).replace("bath", "other").replace("label = 0", "label = 2")


def sink(part):
    return (
        transport("medium", 0, "1e-14 m^2/s") + 'initial = "1000 mol/m^3"\n[phases.ball]\nlabel = 1\nrole = "sink"\n'
        f'uptake = {{ rate = "{part * RATE:.9g} m/s", capacity = "{3e-5 * part:.9g} mol/m^2" }}\n'
    )


def exchange(part):
    return f'[[interfaces]]\nbetween = ["medium", "ball"]\nexchange = "{part * RATE:.9g} m/s"\n'


def current(part):
    return (
        exchange(part) + '[faces.x_min]\nphases = ["medium"]\n[faces.x_min.current_density]\n'
        'times = ["0 s", "0.3 s", "0.6 s"]\nvalues = ["1 A/m^2", "0 A/m^2", "-1 A/m^2"]\ninterpolation = "step"\n'
    )


def bath_that_changes(part):
    """Ramps; steps are those of the current."""
    course = '{ times = ["0 s", "0.4 s", "0.8 s"], values = ["1000 mol/m^3", "200 mol/m^3", "700 mol/m^3"] }'
    return two_baths(part).replace('"1000 mol/m^3"', course, 1)


def opening(part):
    """A coefficient that grows."""
    course = f'{{ times = ["0 s", "0.6 s"], values = ["{0.1 * part * RATE:.9g} m/s", "{2 * part * RATE:.9g} m/s"] }}'
    return bath(part * RATE).replace(f'"{part * RATE:.9g} m/s"', course) + LINEAR


def beside_held(of_ball):
    """A transfer beside a surface that is held: what both have in common stays held."""

    def phases(part):
        other = bath(1.0).replace('mass_transfer = "1 m/s"\n', "")
        return bath(part * RATE) + of_ball + other.replace("bath", "other").replace("label = 0", "label = 2")

    return phases


def other_of_two(of_ball):
    """The second of two transfers, each into two media of which one holds twice as much."""

    def phases(part):
        other = bath(part * RATE).replace("bath", "other").replace("label = 0", "label = 2")
        return bath(2 * RATE).replace("1000", "300") + of_ball + other + transport("half", 3, "3e-14 m^2/s")

    return phases


HOLDS_TWICE = '[[interfaces]]\nbetween = ["ball", "half"]\npartition = 2.0\n'
MEDIUM = transport("medium", 0, "1e-12 m^2/s")
PASSING = {  # phases and interfaces by what the area is multiplied by, regions, and how near
    "transfer": (lambda part: bath(part * RATE) + LINEAR, lambda part: "", PARTS, 0.03),
    "transfer, a law": (lambda part: bath(part * RATE) + LAW, lambda part: "", PARTS, 0.05),
    "two transfers": (two_baths, lambda part: "", PARTS, 0.05),
    "two transfers, a course": (bath_that_changes, lambda part: "", PARTS, 0.05),
    "transfer that grows": (opening, lambda part: "", PARTS, 0.05),
    "transfer beside held": (beside_held(LINEAR), lambda part: "", PARTS, 0.07),
    "transfer beside held, a law": (beside_held(LAW), lambda part: "", PARTS, 0.05),
    "other of two, two media": (other_of_two(LINEAR), lambda part: HOLDS_TWICE, PARTS, 0.1),
    "other of two, two media, a law": (other_of_two(LAW), lambda part: HOLDS_TWICE, PARTS, 0.05),
    "exchange": (lambda part: MEDIUM + LINEAR + 'initial = "1000 mol/m^3"\n', exchange, PARTS, 0.03),
    "current": (lambda part: MEDIUM + LINEAR, current, PARTS.split("[regions.core]")[0], 0.03),
    "current, a law": (lambda part: MEDIUM + LAW, current, PARTS, 0.05),
    "sink that fills up": (sink, lambda part: "", '[regions.all]\nphase = "medium"\n', 0.1),
}


@pytest.mark.mpi
@pytest.mark.parametrize("which", PASSING)
def test_what_curves_change_by_with_an_area_is_told_along_with_the_solution(tmp_path, which):
    """Against two more solutions, with coefficients 2 % larger and smaller; a sink's capacity is per area as well."""
    phases, more, regions, near = PASSING[which]
    image = ball(7.7, 2)
    if "two" in which or "held" in which:
        image[(image == 0) & (np.arange(image.shape[1]) > image.shape[1] // 2)] = 2
    if "media" in which:
        image[: image.shape[0] // 2][image[: image.shape[0] // 2] == 1] = 3
    end = 0.9 if "current" in which else 3 * (7.7 * VOXEL) ** 2 / D
    one, larger, smaller = (
        run(tmp_path / f"{part}", image, phases(part), SMOOTH, end, more(part), regions) for part in (1.0, 1.02, 0.98)
    )
    ready = one.ready
    name = "other" if "other" in which else next(iter(passing(ready.meshed.mesh, ready.case.physics)))
    (passage,) = passages_of(ready.problem, ready.case.physics, [name])
    found = solve(ready.problem, ready.means, ready.case.time, ready.case.solver, passages=[passage])
    ((*told,),) = found.by_areas([passage], ready.means)
    late = found.times >= 1e-3 * end
    for region, response in zip(found.curves, told, strict=True):
        change = (larger.transient.curves[region] - smaller.transient.curves[region]) / 0.04
        assert np.abs(response - change)[late].max() < near * np.abs(change).max()


@pytest.mark.mpi
@pytest.mark.parametrize("phases", [LINEAR, LAW], ids=["linear", "law"])
def test_an_area_through_which_a_given_current_passes_is_no_error_of_what_is_stored(tmp_path, phases):
    """The balance alone says how much the ball holds; by the rate of all that happens 1 to 2 % of it were told."""
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\n'
    medium = MEDIUM + "porosity = 1e-4\n"
    charge = current(1.0).replace('"0 A/m^2", "-1 A/m^2"', '"1 A/m^2", "1 A/m^2"')
    found = run(tmp_path, ball(7.7, 2), medium + phases, mesh, 0.9, charge)
    (area,) = [area for area in found.ready.meshed.areas.values() if area is not None]
    assert area.error > 5e-3 * area.image
    assert found.errors["all"][-1] < 2e-3 * found.transient.curves["all"][-1]


def periodic_ball(cut, dim):
    """A ball (disk) in an image that comes again, of which the first layers are put last."""
    return np.roll(ball(6.2, dim)[(slice(None, -1),) * dim], [-cut] * dim, range(dim))


PERIODIC = {
    2: '[faces]\nx = "periodic"\ny = "periodic"\n',
    3: '[faces]\nx = "periodic"\ny = "periodic"\nz = "periodic"\n',
}


@pytest.mark.mpi
@pytest.mark.parametrize(("dim", "method"), [(2, "voxel"), (2, "lattice"), (3, "voxel")])
@pytest.mark.parametrize("cut", [0, 5, 9])
def test_a_ball_that_periodic_faces_cut_takes_up_as_much(tmp_path, dim, method, cut):
    """By the area of its steps it would be 145 mol/m³ off, by what lies within the frame as much less as is cut."""
    biot, length = 0.1, 6.2 * VOXEL
    coefficient = biot * D / length
    end = 3 * length**2 / D / biot
    mesh = f'[mesh]\nmethod = "{method}"\ndegree = 1\n'
    found = run(tmp_path, periodic_ball(cut, dim), bath(coefficient) + LINEAR, mesh, end, PERIODIC[dim])
    (area,) = [area for area in found.ready.meshed.areas.values() if area is not None]
    exact = 2 * np.pi * length if dim == 2 else 4 * np.pi * length**2
    assert area.image == pytest.approx(exact, rel=0.02)
    times = found.transient.times
    off = np.abs(found.transient.curves["all"] - FULL * uptake(times, length, coefficient, dim))
    assert off.max() < 8.0
    assert off[times >= 1e-3 * end].max() < found.errors["all"].max() < 25.0


@pytest.mark.mpi
def test_an_exchange_through_periodic_faces_passes_by_the_area_of_the_image(tmp_path):
    """As without: what is left of the difference of two well mixed phases, wherever the image is cut."""
    radius, rate = 6.2, 1e-9
    image = periodic_ball(9, 3)
    phases = transport("medium", 0, "1e-10 m^2/s") + transport("ball", 1, "1e-10 m^2/s") + 'initial = "1000 mol/m^3"\n'
    more = f'[[interfaces]]\nbetween = ["medium", "ball"]\nexchange = "{rate} m/s"\n' + PERIODIC[3]
    inside, outside = (np.count_nonzero(image == value) * VOXEL**3 for value in (1, 0))
    falls = rate * 4 * np.pi * (radius * VOXEL) ** 2 * (1 / inside + 1 / outside)
    mesh = '[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n'
    found = run(tmp_path, image, phases, mesh, 2.0 / falls, more)
    even = FULL * inside / (inside + outside)
    expected = even + (FULL - even) * np.exp(-falls * found.transient.times)
    assert np.abs(found.transient.curves["all"] - expected).max() < 8.0


@pytest.mark.mpi
def test_errors_of_several_areas_add_up_by_what_each_changes(tmp_path):
    """To areas of the mesh all are off at once, with their signs; what the image does not know comes by chance."""
    image = ball(7.7, 2)
    image[(image == 0) & (np.arange(image.shape[1]) > image.shape[1] // 2)] = 2
    one = run(tmp_path, image, two_baths(1.0), SMOOTH, 0.9, "", PARTS)
    passages = passages_of(one.ready.problem, one.ready.case.physics, ["bath", "other"])

    def told(*parts):
        off = [AreaOff(name, (), 1.0, *each) for name, each in zip(("bath", "other"), parts, strict=True)]
        return np.array(list(area_errors(one.ready, one.transient, off, passages).values()))

    none = (0.0, 0.0)
    first, second = told((0.02, 0.0), none), told(none, (0.01, 0.0))
    assert min(first.max(), second.max()) > 0.1
    assert told((-0.02, 0.0), none) == pytest.approx(first)
    assert told((0.02, 0.0), (0.01, 0.0)) == pytest.approx(first + second, abs=0.05)  # both bring lithium
    assert told((0.02, 0.0), (-0.01, 0.0)) == pytest.approx(np.abs(first - second), abs=0.05)
    assert told((0.0, 0.02), (0.0, 0.01)) == pytest.approx(np.hypot(first, second))
    assert told((0.02, 0.0), (0.0, 0.01)) == pytest.approx(first + second, abs=0.05)


@pytest.mark.mpi
@pytest.mark.parametrize("biot", [0.2, 1.0, 5.0])
def test_where_a_coefficient_jumps_the_bound_is_no_less_than_what_an_area_changes(tmp_path, biot):
    def phases(part):
        values = ", ".join(f'"{part * share * biot * RATE:.9g} m/s"' for share in (1.0, 0.25, 2.0))
        course = f'{{ times = ["0 s", "0.3 s", "0.6 s"], values = [{values}], interpolation = "step" }}'
        return bath(1.0).replace('"1 m/s"', course) + LINEAR

    one, larger = (
        run(tmp_path / f"{part}", ball(7.7, 2), phases(part), SMOOTH, 1.5, "", PARTS) for part in (1.0, 1.02)
    )
    off = [AreaOff("bath", (), np.pi * 2 * 7.7 * VOXEL, 0.02, 0.0)]
    passages = passages_of(one.ready.problem, one.ready.case.physics, ["bath"])
    assert one.transient.by_areas(passages, one.ready.means) is None
    told = area_errors(one.ready, one.transient, off, passages)
    for region, curve in one.transient.curves.items():
        change = np.abs(larger.transient.curves[region] - curve).max()
        assert change < told[region].max() < 8 * change
