"""A mesh that closes on itself: all that can be counted is the same wherever the image that comes again is cut."""

import numpy as np
import pytest
from label_images import label_image, label_volume
from scipy import ndimage

import ufl
from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.collective import on_first_rank
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.mesh.export import write_mesh
from microlith.meshing.mesh.phasemesh import face_tag
from microlith.meshing.mesh.quality import tetrahedron_quality
from microlith.meshing.mesh.simplices import signed_measures
from microlith.meshing.voxel import voxel_mesh

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
EDGE = (1e-6, 2e-6, 0.5e-6)  # of a voxel, x, y, z


def periodic_mesh(labels, periodic, solved=(0, 1)):
    image = label_image(labels, EDGE[: labels.ndim][::-1]) if COMM.rank == 0 else None
    return mesh_in_place(voxel_mesh(volume_of(image, COMM), solved, COMM, periodic=periodic), solved, COMM)


def counted(mesh, comm=COMM):
    """Numbers of vertices, edges, facets and cells; area of the facets of each tag; gaps of functions at facets."""
    topology = mesh.mesh.topology
    dim = topology.dim
    for k in range(dim):
        topology.create_entities(k)
    sizes = [topology.index_map(k).size_global for k in range(dim + 1)]
    outer = ufl.Measure("ds", mesh.mesh, subdomain_data=mesh.facet_tags)
    inner = ufl.Measure("dS", mesh.mesh, subdomain_data=mesh.facet_tags)
    one = fem.Constant(mesh.mesh, 1.0)
    tags = sorted(set(np.concatenate(comm.allgather(np.unique(mesh.facet_tags.values))).tolist()))
    areas = {}
    for tag in tags:
        forms = fem.form(one * outer(tag)), fem.form(one("+") * inner(tag))
        areas[tag] = sum(comm.allreduce(fem.assemble_scalar(form)) for form in forms)
    return sizes, areas


@pytest.mark.parametrize("periodic", [(0,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
def test_the_same_wherever_the_image_is_cut(periodic):
    labels = np.random.default_rng(5).integers(0, 3, (5, 6, 7) if max(periodic) > 1 else (6, 7))
    sizes, areas = counted(periodic_mesh(labels, periodic))
    axes = [labels.ndim - 1 - axis for axis in periodic]
    for steps in ((2, 3, 1), (1, 1, 4)):
        rolled = np.roll(labels, steps[: len(axes)], axes)
        other_sizes, other_areas = counted(periodic_mesh(rolled, periodic))
        assert other_sizes == sizes
        assert other_areas == pytest.approx(areas)
    faces = {face_tag("xyz"[axis] + end) for axis in periodic for end in ("_min", "_max")}
    assert not faces & set(areas)
    assert len(areas) == 3 + 2 * (labels.ndim - len(periodic))  # pairs of phases, and faces that are not periodic


def blobs(shape):
    """Two smooth phases that repeat, and small parts of a third, cut by all faces."""
    field = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal(shape), 1.6, mode="wrap")
    return np.digitize(field, np.quantile(field, [0.4, 0.9]))


@pytest.mark.parametrize(
    ("shape", "periodic"), [((24, 20), "x"), ((24, 20), "xy"), ((9, 12, 10), "y"), ((9, 12, 10), "xyz")], ids=str
)
def test_lattices_close_on_themselves(shape, periodic):
    """Vertices, edges, facets and cells sum up to 0, as on any circle times something; angles are as ever."""
    labels = blobs(shape)
    volume = label_volume(labels)
    image_mesh = lattice_mesh(volume, MeshOptions(method="lattice", periodic=tuple(periodic)), (0, 1, 2), COMM)
    sizes, areas = counted(mesh_in_place(image_mesh, (0, 1, 2), COMM))
    assert sum((-1) ** k * size for k, size in enumerate(sizes)) == 0
    sealed = set("xyz"[: labels.ndim]) - set(periodic)
    assert {tag for tag in areas if tag <= 6} == {face_tag(axis + end) for axis in sealed for end in ("_min", "_max")}
    measures = np.bincount(image_mesh.phase, signed_measures(image_mesh.points, image_mesh.cells), minlength=3)
    assert COMM.allreduce(measures) == pytest.approx(np.bincount(labels.ravel()), rel=1e-2)
    if labels.ndim == 3:
        angles = tetrahedron_quality(image_mesh.points, image_mesh.cells)[1]
        assert COMM.allreduce(angles.min(initial=np.inf), MPI.MIN) > 12
    alone = lattice_mesh(
        label_volume(labels, comm=MPI.COMM_SELF),
        MeshOptions(method="lattice", periodic=tuple(periodic)),
        (0, 1, 2),
        MPI.COMM_SELF,
    )
    assert COMM.allreduce(len(image_mesh.cells)) == len(alone.cells)
    assert areas == pytest.approx(counted(mesh_in_place(alone, (0, 1, 2), MPI.COMM_SELF), MPI.COMM_SELF)[1])


def test_faces_that_do_not_match_leave_no_sharp_cell():
    """Interfaces along periodic faces come close to vertices that may not move: 9 cells were down to 0.9 degrees."""
    field = ndimage.gaussian_filter(np.random.default_rng(57).standard_normal((9, 12, 10)), 1.6)
    volume = label_volume(np.digitize(field, np.quantile(field, [0.4, 0.7])))
    image_mesh = lattice_mesh(volume, MeshOptions(method="lattice", periodic=("y", "z")), (0, 1, 2), COMM)
    sizes, _ = counted(mesh_in_place(image_mesh, (0, 1, 2), COMM))
    assert sum((-1) ** k * size for k, size in enumerate(sizes)) == 0
    measures = signed_measures(image_mesh.points, image_mesh.cells)
    assert COMM.allreduce(measures.sum()) == pytest.approx(np.prod(image_mesh.extent), rel=1e-12)
    angles = tetrahedron_quality(image_mesh.points, image_mesh.cells)[1]
    assert COMM.allreduce(angles.min(initial=np.inf), MPI.MIN) > 12


def test_points_stay_where_they_are():
    mesh = periodic_mesh(np.zeros((4, 5), int), (0, 1), (0,))
    owned = mesh.mesh.topology.index_map(2).size_local
    geometry = mesh.mesh.geometry
    nodes = geometry.dofmaps[0] if hasattr(geometry, "dofmaps") else geometry.dofmap
    corners = geometry.x[nodes[:owned], :2]
    assert np.ptp(corners, axis=1) == pytest.approx(np.tile([1.0, 2.0], (owned, 1)))
    assert mesh.mesh.topology.index_map(0).size_global == 20
    assert geometry.index_map().size_global == 30


def test_too_few_voxels_are_refused():
    with pytest.raises(InputError, match=r'\[faces\] x = "periodic": the image has 2 voxels along x; expected 3'):
        periodic_mesh(np.zeros((4, 2), int), (0,), (0,))
    image = label_image(np.zeros((6, 2, 8), int), EDGE[::-1]) if COMM.rank == 0 else None  # of flat tetrahedra
    with pytest.raises(InputError, match=r'\[faces\] y = "periodic": the image has 2 voxels along y; expected 3'):
        lattice_mesh(volume_of(image, COMM), MeshOptions(periodic=("y",)), (0,), COMM)


def test_written_cells_are_not_stretched(tmp_path_factory):
    """In files that know points only, whatever the number of ranks."""
    import meshio

    path = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("written")) / "mesh.vtu"
    image = label_image(np.zeros((4, 5), int), EDGE[1::-1]) if COMM.rank == 0 else None
    write_mesh(path, voxel_mesh(volume_of(image, COMM), (0,), COMM, periodic=(0, 1)), COMM)
    if COMM.rank == 0:
        mesh = meshio.read(path)
        cells = mesh.cells[0].data
        assert len(mesh.points) == 30
        assert np.ptp(mesh.points[cells, :2], axis=1) == pytest.approx(np.tile([1.0, 2.0], (20, 1)))
