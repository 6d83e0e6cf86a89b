"""The tensor of an image that comes again and again: exact cases, symmetry, and shifts that change nothing."""

import numpy as np
import pytest
from label_images import ball, label_image
from made_meshes import COMM

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.options import MeshOptions
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.voxel import voxel_mesh
from microlith.solver.conduction.conduction import conduction
from microlith.solver.conduction.medium import composite, one_phase
from microlith.solver.conduction.tensor import conduction_tensor, principal_axes, winding
from microlith.solver.options import SolverOptions
from microlith.solver.physics.phases import InterfaceLaw, PhasePhysics, Physics, Role

EFFECTIVE = {"term": "effective diffusivity", "of": "effective diffusivity"}
TWO = tuple(PhasePhysics(name, Role.TRANSPORT, effective_diffusivity=d) for name, d in (("a", 1e-14), ("b", 5e-14)))


def voxels(labels, solved=(1,), comm=COMM, periodic=True):
    """Squares or cubes of an image that comes again along all its axes."""
    axes = range(labels.ndim) if periodic else ()
    volume = volume_of(label_image(labels, names=("a", "b")) if comm.rank == 0 else None, comm)
    return mesh_in_place(voxel_mesh(volume, list(solved), comm, periodic=axes), list(solved), comm)


def tensor(labels, degree=1, comm=COMM, **options):
    return conduction_tensor(one_phase(voxels(labels, comm=comm), 1), degree, SolverOptions(**options))


def noise(shape, share=0.7):
    """Voxels that come again along all axes without any symmetry, with many contacts of no width."""
    return (np.random.default_rng(5).random(shape) < share).astype(int)


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [(9, 10), (5, 6, 7)])
@pytest.mark.parametrize(("linear", "degree"), [("mumps", 1), ("cg", 1), ("mumps", 2)])
def test_shifts_change_nothing(shape, linear, degree):
    """Catches nodes that are joined across faces where the phase only touches itself at an edge."""
    image = noise(shape)
    found = tensor(image, degree, linear=linear)
    shifted = tensor(np.roll(image, range(2, 2 + len(shape)), range(len(shape))), degree, linear=linear)
    assert found.values == pytest.approx(found.values.T)
    assert np.abs(shifted.values - found.values).max() < 1e-7
    assert shifted.connected == pytest.approx(found.connected)
    assert np.abs(found.values - np.diag(found.values.diagonal())).max() > 1e-3
    assert (np.linalg.eigvalsh(found.values) > 0.05).all()
    alone = tensor(image, degree, comm=MPI.COMM_SELF)
    assert np.abs(found.values - alone.values).max() < 1e-7
    assert found.unknowns == alone.unknowns


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2])
def test_symmetric_images_conduct_as_with_sealed_sides(degree):
    """An image that is its own mirror image: the fluxes of both problems are the same."""
    away = np.indices((6, 6, 6)) + 0.5 - 3
    image = (np.linalg.norm(away, axis=0) > 2.3).astype(int)
    sealed = conduction(voxels(image, periodic=False), 1, "xyz", degree, SolverOptions())
    found = tensor(np.roll(image, (3, 1, 2), (0, 1, 2)), degree)
    assert found.values.diagonal() == pytest.approx([along.relative for along in sealed], rel=1e-7)
    assert np.abs(found.values - np.diag(found.values.diagonal())).max() < 1e-7


@pytest.mark.mpi
def test_layers_of_two_phases(verified):
    """Along the layers the mean of the diffusivities, across them the harmonic one."""
    labels = np.tile(np.repeat([0, 1, 0], [2, 3, 1]), (4, 1))
    found = conduction_tensor(composite(voxels(labels, (0, 1)), Physics(TWO), (0, 1)), 1, SolverOptions())
    exact = np.diag([1 / (0.5 + 0.5 / 5), 3.0])
    verified(
        **EFFECTIVE,
        against="layers of two phases, repeated: harmonic and arithmetic mean",
        dim=2,
        cells="squares",
        degree=1,
        error=float(np.abs(found.values - exact).max()),
    )
    assert found.values == pytest.approx(exact, rel=1e-8)
    assert found.principal[0] == pytest.approx([3.0, 1 / 0.6], rel=1e-8)
    assert found.principal[1] == pytest.approx(np.array([[0, 1], [1, 0]]))


@pytest.mark.mpi
@pytest.mark.parametrize("start", [0, 2])  # 2: an interface lies on the faces across x, too
def test_layers_with_partition_and_exchange(verified, start):
    """Across layers: resistances in series of the layers and of both interfaces, with the concentrations of a."""
    labels = np.roll(np.tile(np.repeat([0, 1], [2, 4]), (4, 1)), start, axis=1)
    laws = (InterfaceLaw("a", "b", partition=0.5, exchange=4e-9),)  # c_b / c_a
    medium = composite(voxels(labels, (0, 1)), Physics(TWO, interfaces=laws), (0, 1))
    found = conduction_tensor(medium, 2, SolverOptions())
    within = 2 / 1 + 4 / (5 * 0.5) + 2 * 1e-14 / (4e-9 * 1e-6)  # per µm and D of a
    exact = np.diag([6 / within, (2 + 4 * 5 * 0.5) / 6])
    verified(
        **EFFECTIVE,
        against="layers with partition and exchange, repeated: resistances in series and side by side",
        dim=2,
        cells="squares",
        degree=2,
        error=float(np.abs(found.values - exact).max()),
    )
    assert found.values == pytest.approx(exact, rel=1e-8, abs=1e-9)


@pytest.mark.mpi
def test_channels_at_45_degrees():
    """Steps of pixels lead down to the right for ever: they conduct along them, and across them nothing."""
    y, x = np.indices((6, 6))
    found = tensor(((x + y) % 6 < 3).astype(int), degree=2)
    (first, second), axes = found.principal
    assert first > 0.2
    assert second == pytest.approx(0.0, abs=1e-8)
    assert axes[0] == pytest.approx([0.5**0.5, -(0.5**0.5)]) or axes[0] == pytest.approx([-(0.5**0.5), 0.5**0.5])
    assert found.values[0, 0] == pytest.approx(found.values[1, 1])


@pytest.mark.mpi
def test_what_does_not_go_on_conducts_nothing():
    """Corners only; an island that crosses the faces; a channel along one axis."""
    for labels in (np.indices((4, 4)).sum(0) % 2, np.roll(np.pad(np.ones((2, 2), int), 1), (2, 2), (0, 1))):
        found = tensor(labels)
        assert (found.values == 0).all()
        assert (found.connected, found.method) == (0.0, "none")
    channel = np.zeros((4, 4), int)
    channel[1] = 1
    channel[3, :2] = 1
    found = tensor(channel)
    assert found.values == pytest.approx(np.diag([0.25, 0.0]), rel=1e-8)
    assert found.values[1].max() == 0.0
    assert found.connected == pytest.approx(2 / 3)


def least(tensor):
    """Least eigenvalue, per the largest of all entries: not below 0 where a quadratic form is not negative."""
    return np.linalg.eigvalsh(tensor).min() / np.abs(tensor).max()


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [(9, 10), (5, 6, 7)])
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_bounds_from_both_sides(shape, linear):
    """The same shape in voxels of a third of the edge is bounded more narrowly, in every direction."""
    image = noise(shape)
    finer = image
    for axis in range(len(shape)):
        finer = finer.repeat(3, axis)
    options = SolverOptions(linear=linear)
    far, near = (conduction_tensor(one_phase(voxels(one), 1), 1, options, bounds=True) for one in (image, finer))
    assert least(near.lower - far.lower) > 0.01
    assert least(near.values - near.lower) > 0.01
    assert least(far.values - near.values) > 0.01
    alone = conduction_tensor(one_phase(voxels(image, comm=MPI.COMM_SELF), 1), 2, options, bounds=True)
    assert np.abs(alone.lower - far.lower).max() < 1e-7


@pytest.mark.mpi
def test_bounds_of_layers_meet():
    """With partition and exchange the fluxes of both are the exact ones; nothing across channels at 45 degrees."""
    labels = np.roll(np.tile(np.repeat([0, 1], [2, 4]), (4, 1)), 2, axis=1)
    laws = (InterfaceLaw("a", "b", partition=0.5, exchange=4e-9),)
    medium = composite(voxels(labels, (0, 1)), Physics(TWO, interfaces=laws), (0, 1))
    found = conduction_tensor(medium, 1, SolverOptions(), bounds=True)
    assert found.lower == pytest.approx(found.values, rel=1e-8, abs=1e-9)
    y, x = np.indices((6, 6))
    found = conduction_tensor(one_phase(voxels(((x + y) % 6 < 3).astype(int)), 1), 2, SolverOptions(), bounds=True)
    assert found.lower[0, 0] > 0.19
    assert found.lower == pytest.approx(found.lower[0, 0] * np.array([[1, -1], [-1, 1]]), rel=1e-7)
    assert least(found.values - found.lower) > -1e-8


def test_phases_that_differ_much_on_a_lattice():
    """Conjugate gradients gave up: factors are taken where nothing else is asked for, and stand between the bounds."""
    image = noise((6, 7, 8), 0.6)
    volume = volume_of(label_image(image, names=("a", "b")), MPI.COMM_SELF)
    options = MeshOptions(method="lattice", periodic=("x", "y", "z"))
    mesh = mesh_in_place(lattice_mesh(volume, options, [0, 1], MPI.COMM_SELF), [0, 1], MPI.COMM_SELF)
    diffusivities = {"a": 1e-22, "b": 1e-10}
    physics = Physics(tuple(PhasePhysics(k, Role.TRANSPORT, effective_diffusivity=d) for k, d in diffusivities.items()))
    found = conduction_tensor(composite(mesh, physics, (1, 0)), 2, SolverOptions(), bounds=True)
    alone = conduction_tensor(one_phase(mesh, 1), 2, SolverOptions())
    assert found.method == "mumps"
    assert found.values == pytest.approx(alone.values, rel=1e-3)
    assert least(found.values - found.lower) > 0.0
    with pytest.raises(ArithmeticError, match="gave up"):
        conduction_tensor(composite(mesh, physics, (1, 0)), 2, SolverOptions(linear="cg"))


@pytest.mark.mpi
@pytest.mark.parametrize("size", [2, 6])
def test_checkerboards_lie_between_their_bounds(size):
    """Squares of two phases conduct as the root of the product of both (Keller, J. Math. Phys. 5 (1964) 548)."""
    labels = np.kron(np.indices((2, 2)).sum(0) % 2, np.ones((size, size), int))
    for ratio in (3.0, 1e3):
        two = (TWO[0], PhasePhysics("b", Role.TRANSPORT, effective_diffusivity=ratio * 1e-14))
        found = conduction_tensor(composite(voxels(labels, (0, 1)), Physics(two), (0, 1)), 1, SolverOptions(), True)
        assert (found.lower.diagonal() < ratio**0.5).all()
        assert (found.values.diagonal() > ratio**0.5).all()


@pytest.mark.mpi
def test_lattices_that_are_cut_elsewhere():
    """Around a ball on smooth tetrahedra, with the faces beside it or through it; Maxwell's formula is near enough."""
    image = ball(3.2, 8)[0]

    def on_lattice(labels):
        volume = volume_of(label_image(labels) if COMM.rank == 0 else None, COMM)
        mesh = lattice_mesh(volume, MeshOptions(method="lattice", periodic=("x", "y", "z")), [0], COMM)
        return conduction_tensor(one_phase(mesh_in_place(mesh, [0], COMM), 0), 2, SolverOptions(), bounds=True)

    found, cut = on_lattice(image), on_lattice(np.roll(image, (4, 4, 4), (0, 1, 2)))
    maxwell = 2 * found.fraction / (3 - found.fraction)
    assert found.values == pytest.approx(maxwell * np.eye(3), abs=0.015)
    assert cut.values == pytest.approx(found.values, abs=5e-3)
    assert least(found.values - found.lower) > 0.0
    assert np.abs(found.values - found.lower).max() < 0.03
    assert found.connected == 1.0


@pytest.mark.parametrize("values", [(3, 2, 1), (2, 2, 1), (2, 1, 1), (1, 1, 1), (1, 0, 0), (0, 0, 0)])
def test_principal_axes_do_not_depend_on_rounding(values):
    """Equal principal values have no axes of their own; those that are told are the same on any number of ranks."""
    random = np.random.default_rng(2)
    turned = np.linalg.qr(random.normal(size=(3, 3)))[0]
    exact = turned * np.array(values, float) @ turned.T
    noisy = exact + 1e-11 * max(values) * random.normal(size=(3, 3))
    told, axes = principal_axes(exact)
    assert told == pytest.approx(values, abs=1e-12)
    assert axes.T * told @ axes == pytest.approx(exact, abs=1e-8)
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-8)
    told, others = principal_axes((noisy + noisy.T) / 2)
    assert others == pytest.approx(axes, abs=1e-8)
    assert (told[np.array(values) == 0] == 0).all()
    if len(set(values)) == 1:
        assert axes == pytest.approx(np.eye(3), abs=1e-8)


def test_winding():
    """By hand: part 0 meets itself along z; 1 and 2 lead to each other and back; 3 leads to 4 and no further."""
    found = winding(5, [(0, 0, 2), (1, 2, 0), (2, 1, 1), (3, 4, 0)], 3)
    assert found.astype(int).tolist() == [[0, 0, 1], [1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]]
