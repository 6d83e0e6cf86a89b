"""What a mesh of an image must have when its interfaces are those of the voxels, counted from the image."""

import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

import ufl
from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.axes import FACES
from microlith.meshing.mesh.phasemesh import face_tag, interface_tag

COMM = MPI.COMM_WORLD


def integral(form):
    return COMM.allreduce(fem.assemble_scalar(fem.form(form)))


def size_of(mesh, tag, kind):
    measure = ufl.Measure(kind, mesh.mesh, subdomain_data=mesh.facet_tags)
    return integral(fem.Constant(mesh.mesh, 1.0) * measure(tag))


def faces_between(labels, edge):
    """Area of the voxel faces between two phases {(a, b): area}, a < b."""
    dim = labels.ndim
    areas = {}
    for axis in range(dim):
        size = np.prod(edge[:dim]) / edge[dim - 1 - axis]
        low = labels[tuple(slice(0, -1) if i == axis else slice(None) for i in range(dim))]
        high = labels[tuple(slice(1, None) if i == axis else slice(None) for i in range(dim))]
        for a, b in itertools.combinations(range(3), 2):
            count = ((low == a) & (high == b)).sum() + ((low == b) & (high == a)).sum()
            areas[a, b] = areas.get((a, b), 0) + count * size
    return areas


def on_faces(labels, edge, solved):
    """Area of the solved phases on each outer face, in the order of FACES."""
    dim = labels.ndim
    areas = []
    for axis, end in itertools.product(range(dim), (0, -1)):
        face = np.take(labels, end, axis=dim - 1 - axis)
        areas.append(np.isin(face, solved).sum() * np.prod(edge[:dim]) / edge[axis])
    return areas


def fans(labels, solved):
    """Number of vertices if each has a copy for each set of solved voxels around it that faces join."""
    padded = np.pad(np.isin(labels, solved), 1)
    count = 0
    around = list(itertools.product((0, 1), repeat=labels.ndim))
    for at in itertools.product(*(range(n + 1) for n in labels.shape)):
        there = [tuple(np.add(at, step)) for step in around if padded[tuple(np.add(at, step))]]
        joined = [[np.abs(np.subtract(a, b)).sum() == 1 for b in there] for a in there]
        count += csgraph.connected_components(sparse.csr_array(np.array(joined)))[0] if there else 0
    return count


def assert_counts(mesh, labels, solved, edge, cells):
    """Volumes, areas and numbers of a PhaseMesh of three phases; `edge` of a voxel, x, y[, z]; `cells` in all."""
    dim = labels.ndim
    one = fem.Constant(mesh.mesh, 1.0)
    dx = ufl.Measure("dx", mesh.mesh, subdomain_data=mesh.cell_tags)
    for phase in solved:
        assert integral(one * dx(phase)) == pytest.approx((labels == phase).sum() * np.prod(edge))
    for name, area in zip(FACES, on_faces(labels, edge, solved), strict=False):
        assert size_of(mesh, face_tag(name), "ds") == pytest.approx(area)
    for (a, b), area in faces_between(labels, edge).items():
        inner = a in solved and b in solved
        outer = (a in solved) != (b in solved)
        assert size_of(mesh, interface_tag(a, b), "dS") == pytest.approx(area if inner else 0)
        assert size_of(mesh, interface_tag(a, b), "ds") == pytest.approx(area if outer else 0)
    topology = mesh.mesh.topology
    assert topology.index_map(dim).size_global == cells
    assert topology.index_map(0).size_global == fans(labels, solved)
