"""The cells and parts of cells that fill a region, to look at the field there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import basix

from microlith.imaging.typing import Array

Index = NDArray[np.intp]

MOST_CORNERS = 200_000  # parts of this rank up to which their corners are looked at: of more, they are tiny


@dataclass(frozen=True, eq=False)
class PartsOfCells:
    """Cells of this rank that lie in a region as a whole, and parts of others; or facets of cells."""

    cell: Index  # (n,) whole ones
    volume: Array  # (n,) mesh units
    cut: Index  # (m,) cell of each part
    cut_volume: Array  # (m,) mesh units
    means: Array  # (m, dofs) of each basis function over the part
    corners: Array | None  # (m, corners, dofs) each basis function at its corners; None: not looked at

    @staticmethod
    def of(
        whole: Sequence[tuple[Index, Array]],
        cut: Sequence[tuple[Index, Array, Array, Array]],
        element: basix.finite_element.FiniteElement,
    ) -> "PartsOfCells":
        """From what was taken piece by piece.

        Args:
            whole: Cells and their volumes.
            cut: Cells, volumes of parts, means over them, and their corners in coordinates of the reference cell.
            element: Of the unknowns.
        """
        dim = len(basix.geometry(element.cell_type)[0])
        none, no_index = np.empty(0), np.empty(0, np.intp)
        cells = np.concatenate([no_index, *(cell for cell, _ in whole)])
        volume = np.concatenate([none, *(volume for _, volume in whole)])
        parts = np.concatenate([no_index, *(part[0] for part in cut)])
        cut_volume = np.concatenate([none, *(part[1] for part in cut)])
        means = np.concatenate([np.empty((0, element.dim)), *(part[2] for part in cut)])
        corners = None
        if 0 < len(parts) <= MOST_CORNERS:  # Basix takes no empty arrays
            x = np.concatenate([np.empty((0, dim + 1, dim)), *(part[3] for part in cut)])
            corners = element.tabulate(0, x.reshape(-1, dim))[0, :, :, 0].reshape(len(x), dim + 1, element.dim)
        return PartsOfCells(cells, volume, parts, cut_volume, means, corners)
