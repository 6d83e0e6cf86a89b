"""The cells and parts of cells that fill a region, to look at the field there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import basix

from microlith.imaging.typing import Array

Index = NDArray[np.intp]

# Parts of a region, over all ranks, up to which the basis at their corners is kept: of more, they are tiny
MOST_CORNERS = 200_000


@dataclass(frozen=True, eq=False)
class CutParts:
    """Parts of some cells."""

    cell: Index  # (m,) of each part
    volume: Array  # (m,) mesh units
    means: Array  # (m, dofs) of each basis function over it
    corners: Array | None  # (m, dim + 1, dim) of simplices, in coordinates of the reference cell; None: other parts,
    below: Array | None = None  # (m, corners) by the function, linear in the cell, that is negative there


@dataclass(frozen=True, eq=False)
class PartsOfCells:
    """Cells of this rank that lie in a region as a whole, and parts of others; or facets of cells."""

    cell: Index  # (n,) whole ones
    volume: Array  # (n,) mesh units
    cut: Index  # (m,) cell of each part
    cut_volume: Array  # (m,) mesh units
    means: Array  # (m, dofs) of each basis function over the part
    corners: Array | None  # (m, corners, dofs) each basis function at its corners; None: not looked at
    # (m, corners) of a function that is linear in the cell: the part is where it is negative; None: it is not known so
    below: Array | None = None

    @staticmethod
    def of(
        whole: Sequence[tuple[Index, Array]],
        cut: Sequence[CutParts],
        element: basix.finite_element.FiniteElement,
        *,
        with_corners: bool,
    ) -> "PartsOfCells":
        """From what was taken piece by piece.

        Args:
            whole: Cells and their volumes.
            cut: Parts of others.
            element: Of the unknowns.
            with_corners: Whether to look at the corners of parts that are simplices.
        """
        none, no_index = np.empty(0), np.empty(0, np.intp)
        cells = np.concatenate([no_index, *(cell for cell, _ in whole)])
        volume = np.concatenate([none, *(volume for _, volume in whole)])
        parts = np.concatenate([no_index, *(part.cell for part in cut)])
        cut_volume = np.concatenate([none, *(part.volume for part in cut)])
        means = np.concatenate([np.empty((0, element.dim)), *(part.means for part in cut)])
        corners = below = None
        of_parts = [part.corners for part in cut if part.corners is not None]
        if with_corners and len(parts) and len(of_parts) == len(cut):  # Basix takes no empty arrays
            x = np.concatenate(of_parts)
            corners = element.tabulate(0, x.reshape(-1, x.shape[2]))[0, :, :, 0]
            corners = corners.reshape(*x.shape[:2], element.dim)
        of_values = [part.below for part in cut if part.below is not None]
        if len(parts) and len(of_values) == len(cut):
            below = np.concatenate(of_values)
        return PartsOfCells(cells, volume, parts, cut_volume, means, corners, below)
