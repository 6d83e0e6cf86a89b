"""From unknowns u to concentrations c = κ u, on a space that jumps where the concentration does."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from dolfinx import fem, la

from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.broken_space import broken, presence, unwrapped
from microlith.solver.interfaces.partition import Link


@dataclass(frozen=True, eq=False)
class Display:
    """The space that concentrations are looked at on: that which is solved in, where nothing jumps or is periodic."""

    space: fem.FunctionSpace
    solved: fem.FunctionSpace
    unknown: Indices | None = None  # (local dofs) local dof of the solved space; None: the same
    phase: Indices | None = None  # (local dofs) phase on whose side each one is; None: not told apart
    factor: Array | None = None  # (local dofs) κ; None: 1

    def concentration(self, owned: Array) -> Array:
        """Concentration, (local dofs of the display space, ghosts included), from owned unknowns; collective."""
        vector = la.vector(self.solved.dofmap.index_map, 1)
        vector.array[: len(owned)] = owned
        vector.scatter_forward()
        found = vector.array if self.unknown is None else vector.array[self.unknown]
        return found if self.factor is None else found * self.factor

    def start(self, mesh: PhaseMesh, start_of_phase: Array, held: Array) -> Array:
        """Concentration at time 0, (local dofs of the display space, ghosts included), as given; collective.

        Args:
            mesh: The solved phases.
            start_of_phase: (phases,) initial concentrations.
            held: (owned unknowns) unknowns that are held, nan elsewhere.
        """
        if self.phase is None:
            nodal = la.vector(self.space.dofmap.index_map, 1)
            dofs = self.space.dofmap.list[mesh.cell_tags.indices]
            nodal.array[dofs] = start_of_phase[mesh.cell_tags.values][:, None]
            nodal.scatter_forward()
            start = nodal.array
        else:
            start = start_of_phase[self.phase]
        fixed = self.concentration(held)
        return np.where(np.isnan(fixed), start, fixed)


def spaces(
    plain: fem.FunctionSpace, mesh: PhaseMesh, links: Collection[Link], factors: Array, solved: Collection[int]
) -> tuple[fem.FunctionSpace, Display]:
    """The space of the unknowns and that of the concentrations; collective.

    Args:
        plain: Lagrange space on mesh.mesh; returned as it is where nothing jumps.
        mesh: The solved phases.
        links: All interfaces between them, unless they are all continuous.
        factors: (phases,) κ.
        solved: Phases solved for.
    """
    jumps = {link.pair for link in links if link.exchange is not None or link.partition != 1.0}
    if not jumps:
        return plain, _unwrapped(Display(plain, plain), mesh)
    present = presence(plain, mesh, solved)
    pairs = {link.pair for link in links}
    exchanging = {link.pair for link in links if link.exchange is not None}
    shown = broken(plain, mesh, present, pairs - jumps, jumps)
    solved_in = shown if exchanging == jumps else broken(plain, mesh, present, pairs - exchanging, exchanging)
    unknown = solved_in.dof(shown.plain, shown.phase).astype(np.int32)
    display = Display(shown.space, solved_in.space, unknown, shown.phase, factors[shown.phase])
    return solved_in.space, _unwrapped(display, mesh)


def _unwrapped(display: Display, mesh: PhaseMesh) -> Display:
    """The same with nodes of their own on either of periodic faces; collective."""
    if not mesh.periodic:
        return display
    shown = unwrapped(display.space, mesh)
    return Display(
        space=shown.space,
        solved=display.solved,
        unknown=shown.plain if display.unknown is None else display.unknown[shown.plain],
        phase=None if display.phase is None else display.phase[shown.plain],
        factor=None if display.factor is None else display.factor[shown.plain],
    )
