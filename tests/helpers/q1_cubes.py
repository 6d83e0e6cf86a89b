"""Conduction through cubes of two phases with an exchange between them: trilinear elements in NumPy alone.

Independent of microlith: no mesh, no DOLFINx; a node has a copy for each phase that touches it.
"""

import itertools

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))


def _diffusion():
    """Stiffness (8, 8) of a unit cube, by Gauss's rule."""
    found = np.zeros((8, 8))
    for point in itertools.product(0.5 + np.array([-0.5, 0.5]) / np.sqrt(3), repeat=3):
        weight = np.where(CORNERS == 1, point, 1 - np.array(point))
        slope = np.stack([np.where(CORNERS[:, k] == 1, 1.0, -1.0) * np.delete(weight, k, 1).prod(1) for k in range(3)])
        found += slope.T @ slope / 8
    return found


def conducted(labels, diffusivities, exchange, axis, at_nodes):
    """Effective diffusivity along an axis of the array, end faces held, sides closed.

    Args:
        labels: (z, y, x) phase of each cube.
        diffusivities: Of the phases.
        exchange: k h / D in the same units.
        axis: Of the array.
        at_nodes: Whether the exchange over a face is taken at its corners; else it is integrated.
    """
    shape = np.array(labels.shape)
    cells, phase = np.array(list(np.ndindex(*shape))), labels.ravel()
    vertices = np.ravel_multi_index((cells[:, None] + CORNERS).transpose(2, 0, 1), shape + 1)
    _, dof = np.unique((vertices * 2 + phase[:, None]).ravel(), return_inverse=True)
    dof = dof.reshape(-1, 8)
    blocks = [(dof, np.array(diffusivities)[phase][:, None, None] * _diffusion())]
    line = np.eye(2) / 2 if at_nodes else np.array([[2, 1], [1, 2]]) / 6
    face = exchange * np.kron(line, line)
    number = np.arange(len(cells)).reshape(labels.shape)
    for k in range(3):
        low, high = (np.take(number, ends, k).ravel() for ends in (range(shape[k] - 1), range(1, shape[k])))
        unlike = phase[low] != phase[high]
        sides = [dof[low[unlike]][:, CORNERS[:, k] == 1], dof[high[unlike]][:, CORNERS[:, k] == 0]]
        jump = np.block([[face, -face], [-face, face]])
        blocks.append((np.concatenate(sides, axis=1), np.broadcast_to(jump, (unlike.sum(), 8, 8))))
    rows = np.concatenate([np.repeat(some, 8, axis=1).ravel() for some, _ in blocks])
    columns = np.concatenate([np.tile(some, (1, 8)).ravel() for some, _ in blocks])
    values = np.concatenate([block.ravel() for _, block in blocks])
    matrix = sparse.csr_array((values, (rows, columns)))
    place = np.empty(matrix.shape[0])
    place[dof] = cells[:, axis, None] + CORNERS[:, axis]
    u = place / shape[axis]
    free = (place > 0) & (place < shape[axis])
    u[free] = linalg.spsolve(matrix[free][:, free].tocsc(), -(matrix[free][:, ~free] @ u[~free]))
    return float(u @ (matrix @ u)) * shape[axis] ** 2 / shape.prod()
