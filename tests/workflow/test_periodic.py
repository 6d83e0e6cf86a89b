"""Runs of images that come again and again: the same wherever the image is cut, a closed form, and what is refused."""

import h5py
import numpy as np
import pytest
from closed_forms import two_sided_slab_mean
from made_cases import PORE, SEI, run_case, transport, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble
from microlith.workflow.rendering.cutaway import _on_faces, vertices_of
from microlith.workflow.results.fields import write_fields
from microlith.workflow.results.particles import particle_tables
from microlith.workflow.scene.surfaces import surfaces
from microlith.workflow.studies.spatial_error import recovered_error
from microlith.workflow.studies.variant import Variant, solved_variant

COMM = MPI.COMM_WORLD
BOTH = '[faces]\nx = "periodic"\ny = "periodic"\n'
FILM = '[[interfaces]]\nbetween = ["sei", "si"]\npartition = 3.0\nexchange = "1e-6 m/s"\n'
THREE = PORE + SEI + transport("si", 2, "1e-14 m^2/s")
LATTICE = '[mesh]\nmethod = "lattice"\n'
# All of two phases, and what of a shell and of a box is in one
PARTS = """
[regions.sei]
phase = "sei"
[regions.si]
phase = "si"
[regions.near]
shell = { around = "pore", distance = "70 nm" }
in_phase = "sei"
[regions.within]
box = { x = ["0 nm", "100 nm"] }
in_phase = "si"
"""
TIME = '[time]\nend = "0.2 s"\ntolerance = 1e-4\nsnapshots = ["0.2 s"]\n'


def blocks():
    """Source, shell and core; nothing is symmetric, and all three meet each other where the image is cut below."""
    image = np.ones((9, 11), np.uint8)
    image[2:4, 3:6] = 0
    image[5:8, 5:9] = 2
    image[4, 4:6] = 2
    return image


def made(folder, image, mesh="", more=BOTH + FILM, phases=THREE, time=TIME, regions=""):
    return on_first_rank(COMM, lambda: write_case(folder, image, "20 nm", phases, mesh, time, regions, more))


def solved(path, comm=COMM):
    """Curves of a run without its files; collective."""
    case = load_case(path)
    ready = assemble.prepared(case, comm)
    transient = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
    return {**transient.curves, "time_s": transient.times}


@pytest.mark.mpi
def test_the_same_wherever_the_image_is_cut(tmp_path_factory):
    """Through a source, through silicon with its film, and at a corner of both; sealed faces give other curves."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("periodic"))
    found = []
    for k, steps in enumerate([(0, 0), (6, 7), (3, 2)]):
        found.append(solved(made(folder / str(k), np.roll(blocks(), steps, (0, 1)))))
    sealed = solved(made(folder / "sealed", np.roll(blocks(), (6, 7), (0, 1)), '[mesh]\nmethod = "voxel"\n', FILM))
    for name in ("sei", "si"):
        for other in found[1:]:
            assert other[name] == pytest.approx(found[0][name], abs=1e-7 * 1000)
        assert abs(sealed[name] - found[0][name]).max() > 5


def balls(count, dim):
    """A source and a core, neither of which the image's faces cut."""
    at = np.moveaxis(np.indices((count,) * dim) + 0.5, 0, -1) / count
    image = np.ones((count,) * dim, np.uint8)
    image[np.linalg.norm(at - [0.37, 0.31, 0.31][:dim], axis=-1) < 0.2] = 0
    image[np.linalg.norm(at - [0.66, 0.66, 0.72][:dim], axis=-1) < 0.24] = 2
    return image


def periodic_along(axes):
    """Faces of a case."""
    return "[faces]\n" + "".join(f'{axis} = "periodic"\n' for axis in axes)


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_lattices_of_an_image_cut_elsewhere(tmp_path_factory, dim):
    """Curves are the same up to what the lattice errs by, as its vertices lie elsewhere; sealed faces give others."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("lattice"))
    image = balls({2: 32, 3: 14}[dim], dim)
    faces = periodic_along("xyz"[:dim])
    lattice = LATTICE + ('size = { pore = "12 nm", si = "12 nm" }\n' if dim == 2 else "")
    whole = solved(made(folder / "whole", image, lattice, faces + FILM))
    cut = np.roll(image, (len(image) // 2,) * dim, tuple(range(dim)))
    rolled = solved(made(folder / "rolled", cut, lattice, faces + FILM))
    sealed = solved(made(folder / "sealed", cut, lattice, FILM))
    for name in ("sei", "si"):
        scale = abs(whole[name]).max()
        assert rolled[name] == pytest.approx(whole[name], abs=0.03 * scale), name
        assert abs(sealed[name] - whole[name]).max() > 0.15 * scale


@pytest.mark.mpi
@pytest.mark.parametrize("periodic", ["xy", "y", "xyz", "xz"])
def test_lattices_give_the_same_curves_on_any_number_of_ranks(tmp_path_factory, periodic):
    """Of an image whose faces cut both phases and the film between them."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("ranks"))
    dim = 3 if "z" in periodic else 2
    image = balls({2: 20, 3: 9}[dim], dim)
    image = np.roll(image, (len(image) // 2,) * dim, tuple(range(dim)))
    path = made(folder, image, LATTICE, periodic_along(periodic) + FILM, regions=PARTS)
    found, alone = solved(path), solved(path, MPI.COMM_SELF)
    assert set(found) == {"sei", "si", "near", "within", "time_s"}
    for name in sorted(set(found) - {"time_s"}):
        assert np.ptp(alone[name]) > 5
        assert found[name] == pytest.approx(alone[name], abs=1e-9 * 1000), name


def errors_of_slabs(folder, rows, mesh):
    """Largest errors of the mean, on voxels of 20 and 10 nm: held at both sides; the image is cut within the slab."""
    columns, edge, diffusivity = 24, 20e-9, 2e-14
    errors = []
    for factor in (1, 2):
        image = np.ones((rows(factor), (columns + 4) * factor), np.uint8)
        image[:, 10 * factor : 14 * factor] = 0
        found = solved(
            write_case(
                folder / str(factor), image, f"{20 / factor} nm", PORE + SEI, mesh, TIME, "", periodic_along("x")
            )
        )
        late = found["time_s"] > 1e-2
        length = columns * edge
        exact = 1000 * two_sided_slab_mean(found["time_s"][late], 0, length, length, diffusivity, 1, 1)
        errors.append(abs(found["sei"][late] - exact).max() / 1000)
    return errors


SLAB = {"term": "periodic faces", "against": "slab held at both sides (Crank 1975, eq. 4.22)", "dim": 2, "degree": 2}


@pytest.mark.mpi
def test_recovered_gradients_tell_the_error_of_lattices(tmp_path_factory):
    """Of all of a phase, and of what of a shell is in it, both cut by the faces: against a finer mesh, of degree 2."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("recovered"))
    image = np.roll(balls(32, 2), (16, 16), (0, 1))
    path = made(folder, image, LATTICE + "degree = 1\n", BOTH + FILM, regions=PARTS)
    ready = assemble.prepared(load_case(path))
    transient = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
    told = recovered_error(ready, transient, None)
    fine = solved_variant(ready.meshed, Variant(coarseness=0.5, degree=2), COMM)
    late = transient.times > 1e-3 * transient.times[-1]
    for name in ("sei", "near"):
        true = abs(transient.curves[name] - fine.curves[name])[late].max()
        assert true / 2 < told.curves[name][late].max() < 3 * true, name


@pytest.mark.verification
def test_a_slab_of_triangles_that_goes_on_through_the_face(tmp_path, verified):
    errors = errors_of_slabs(tmp_path, lambda factor: 6 * factor, LATTICE)
    verified(**SLAB, cells="triangles", error=errors[1])
    assert errors[1] < 1e-3
    assert errors[1] < errors[0]


@pytest.mark.verification
def test_a_slab_that_goes_on_through_the_face(tmp_path, verified):
    errors = errors_of_slabs(tmp_path, lambda _: 3, "")
    verified(**SLAB, cells="squares", error=errors[1], order_space=np.log2(errors[0] / errors[1]))
    assert errors[1] < 1e-5
    assert errors[1] < errors[0] / 8


def test_cells_of_the_fields_are_where_they_are(tmp_path):
    """None is stretched through the image, and both sides of the cut have the same concentration."""
    result = run_case(made(tmp_path, np.roll(blocks(), (6, 7), (0, 1)), more=BOTH))
    with h5py.File(result / "fields.vtkhdf") as file:
        root = file["VTKHDF"]
        points, cells = root["Points"][:, :2], root["Connectivity"][:].reshape(len(root["Types"]), -1)
        c = root["PointData/concentration"][:]
    assert np.ptp(points[cells], axis=1) == pytest.approx(np.full((len(cells), 2), 0.02), rel=1e-6)
    left, right = (
        {round(y, 6): value for (x, y), value in zip(points, c, strict=True) if abs(x - at) < 1e-9} for at in (0, 0.22)
    )
    assert set(left) & set(right)
    assert all(right[y] == left[y] for y in set(left) & set(right))


@pytest.mark.mpi
def test_outer_faces_are_there_to_be_drawn_and_read(tmp_path_factory):
    """Of a volume that repeats along x: its sides in pictures and files are those of a box."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("faces"))
    image = np.ones((5, 6, 7), np.uint8)
    image[:, 2, 6] = 0  # a source, which silicon meets across the face
    image[:, 2, 0] = 2
    path = made(folder, image, more='[faces]\nx = "periodic"\n' + FILM)
    ready = assemble.prepared(load_case(path))
    mesh, vertices = ready.meshed.mesh, vertices_of(ready.problem.display.space)
    found = surfaces(mesh, np.array([False, True, True]), [0], vertices)
    area = dict.fromkeys(((1, 2), (2, 1), (1, None), (2, None)), 0.0)
    for one in found:
        a, b, c = (one.sheet.weights @ vertices.x)[one.sheet.cells].transpose(1, 0, 2)
        area[one.phase, one.towards] += np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    area = {key: COMM.allreduce(value) for key, value in area.items()}
    # Silicon is a column of 1 x 1 x 5 on one face, the source such a column on the other
    assert area == pytest.approx({(1, 2): 15, (2, 1): 15, (1, None): 15 + 25 + 25 + 35 + 35 + 40 + 40, (2, None): 7})
    triangles, _ = _on_faces(mesh, vertices.x, vertices.cells)
    assert COMM.allreduce(len(triangles)) == 2 * (25 + 35 + 41)
    write_fields(folder / "fields.vtkhdf", mesh, ready.problem.display.space, [], [])
    if COMM.rank == 0:
        with h5py.File(folder / "fields.vtkhdf") as file:
            tags = np.bincount(file["facets"][:, 2], minlength=7)[1:7]
        assert tags.tolist() == [30, 25, 35, 35, 41, 41]


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["voxel", "lattice"])
def test_a_mesh_in_a_file_stays_periodic(tmp_path_factory, method):
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("file"))
    plain = made(folder / "plain", np.roll(blocks(), (6, 7), (0, 1)), f'[mesh]\nmethod = "{method}"\n')
    file = folder / "mesh.vtkhdf"
    assemble.mesh(load_case(plain), file, COMM, show=False)
    again = made(folder / "again", np.roll(blocks(), (6, 7), (0, 1)), f'[mesh]\nfile = "{file}"\n')
    found = [solved(path) for path in (plain, again)]
    assert found[1]["si"] == pytest.approx(found[0]["si"], rel=1e-9)
    sealed = made(folder / "sealed", np.roll(blocks(), (6, 7), (0, 1)), f'[mesh]\nfile = "{file}"\n', FILM)
    with pytest.raises(InputError, match=r"is periodic along x, y, and \[faces\] of the case say not periodic"):
        solved(sealed)


@pytest.mark.parametrize(
    ("more", "mesh", "message"),
    [
        ('x = "open"', "", r'\[faces\] x: "open" is unknown; known values: periodic, mirrored'),
        ('z = "periodic"', "", r"\[faces\] z: a 2D image has no axis z; remove it"),
        (
            'x = "periodic"',
            '[mesh]\nmethod = "fitted"\n',
            r'x = "periodic": a mesh by \[mesh\] method = "fitted" has .* take "voxel" or "lattice"',
        ),
        (
            'x = "periodic"\nx_min = { flux = "1 mol/(m^2 s)" }',
            "",
            r'x: "periodic" leaves no condition to \[faces.x_min\]',
        ),
        (
            'x = "mirrored"\nx_max = { flux = "1 mol/(m^2 s)" }',
            "",
            r'x: "mirrored" leaves no condition to \[faces.x_max\]',
        ),
    ],
)
def test_what_contradicts_is_refused(tmp_path, more, mesh, message):
    with pytest.raises(InputError, match=message):
        solved(made(tmp_path, blocks(), mesh, f"[faces]\n{more}\n"))


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_regions_go_on_through_faces(tmp_path_factory, dim):
    """Shells, particles with their surfaces and distances, and connected sources; all are cut in other places."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("regions"))
    image = blocks()
    image[0, 0] = 2  # a particle of its own
    if dim == 3:
        layers = np.repeat(image[None], 6, axis=0)
        layers[4:, 2:4, 3:6] = layers[2:, 5:8, 5:9] = 1
        image = layers
    axes = tuple(range(dim))[-2:]  # z is sealed
    more = BOTH + FILM
    regions = '[regions.near]\nshell = { around = "pore", distance = "70 nm" }\n'
    regions += '[regions.near_in_sei]\nshell = { around = "pore", distance = "70 nm" }\nin_phase = "sei"\n'
    regions += '[regions.on_si]\nsurface = "si"\n'
    found = []
    for k, steps in enumerate([(0, 0), (6, 7), (2, 9)]):
        path = on_first_rank(
            COMM,
            lambda k=k, steps=steps: write_case(
                folder / str(k), np.roll(image, steps, axes), "20 nm", THREE, "", TIME, regions, more
            ),
        )
        ready = assemble.prepared(load_case(path))
        transient = solve(ready.problem, ready.means, ready.case.time, ready.case.solver, extra=ready.surfaces.rows)
        (table,) = particle_tables(
            ready.surfaces, ready.meshed.mesh, ready.case.physics, ready.problem, transient, 0.2, [0.2]
        )
        order = np.lexsort((table.distance, table.measure))
        middles = (table.center[order] - np.pad(steps[::-1], (0, dim - 2)) * 20e-9) % (
            np.array(image.shape[::-1]) * 20e-9
        )
        columns = [table.measure, table.distance, table.surface, table.facing, table.t50, table.states[0].mean]
        found.append(
            {
                "curves": transient.curves,
                "near": [
                    (ready.means[name].solved_measure, ready.means[name].solved_share)
                    for name in ("near", "near_in_sei")
                ],
                "particles": np.array([column[order] for column in columns]),
                "middles": middles,
                "frame": table.on_frame[order],
            }
        )
    first = found[0]
    assert first["particles"].shape[1] == 2
    for other in found[1:]:
        for name in ("near", "near_in_sei", "on_si"):
            assert other["curves"][name] == pytest.approx(first["curves"][name], abs=2e-4 * 1000), name
        assert np.array(other["near"]) == pytest.approx(np.array(first["near"]), rel=5e-3)
        assert other["particles"] == pytest.approx(first["particles"], rel=1e-4, nan_ok=True)
        assert other["middles"] == pytest.approx(first["middles"], abs=1e-14)
        assert other["frame"].tolist() == first["frame"].tolist()


def test_a_periodic_face_connects_nothing_to_itself(tmp_path):
    phases = THREE.replace('role = "source"', 'role = "source"\nconnected_to = "y_min"')
    with pytest.raises(InputError, match=r'connected_to: there is no face "y_min" where y is periodic; take one'):
        load_case(made(tmp_path, blocks(), phases=phases))


@pytest.mark.mpi
def test_sources_are_connected_through_faces(tmp_path_factory):
    """A pore that leaves through one side and comes back through the other; without that its end is cut off."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("connected"))
    image = np.ones((9, 12), np.uint8)
    image[0, 2:5] = image[:5, 4] = image[4, 4:10] = image[4:7, 9] = 0
    image[7, 1] = 0  # this one is cut off, wherever the image is
    phases = PORE.replace('role = "source"', 'role = "source"\nconnected_to = "y_min"') + SEI
    found = []
    for step in (0, 5, 8):
        path = made(folder / str(step), np.roll(image, step, 1), more='[faces]\nx = "periodic"\n', phases=phases)
        ready = assemble.prepared(load_case(path))
        counts = ready.meshed.volume.counts
        assert counts[0] == np.count_nonzero(image == 0) - 1
        assert counts[2] == 1
        found.append(solve(ready.problem, ready.means, ready.case.time, ready.case.solver).curves["sei"])
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-7 * 1000)
    sealed = made(folder / "sealed", np.roll(image, 5, 1), '[mesh]\nmethod = "voxel"\n', more="", phases=phases)
    assert assemble.prepared(load_case(sealed)).meshed.volume.counts[2] > 1


def test_images_that_do_not_repeat_are_told(tmp_path, caplog):
    """One half of the image source, the other not; along y it is all the same."""
    image = np.ones((8, 12), np.uint8)
    image[:, :3] = 0
    assemble.check(load_case(made(tmp_path / "no", image, more=BOTH, phases=PORE + SEI)))
    assert (
        "the image does not look periodic along x: 100 % of what is at x_min lies opposite another phase" in caplog.text
    )
    assert "along y" not in caplog.text
    caplog.clear()
    assemble.check(load_case(made(tmp_path / "yes", np.roll(image, 4, 1), more=BOTH, phases=PORE + SEI)))
    assert "periodic" not in caplog.text
