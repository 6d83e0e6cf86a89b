"""Partition between phases by a factor for each: c = κ u, with u continuous where phases are in equilibrium.

With κ_second = K κ_first an interface law c_second = K c_first becomes u_second = u_first, and a finite exchange
k (c_first − c_second/K) becomes k κ_first (u_first − u_second): storage, diffusion and exchange stay symmetric, and
what leaves one phase enters the other to rounding.
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.interfaces.broken_space import Pair
from microlith.solver.physics.phases import InterfaceLaw, Physics

AGREEMENT = 1e-9  # relative difference between partitions that counts as rounding
# An exchange whose resistance is less than this part of that of the smallest voxel's edge is taken as equilibrium. The
# curves would not show it, but the lithium balance would show how its large numbers are rounded.
FAST = 1e-7


@dataclass(frozen=True)
class Link:
    """An interface between two transport phases that is there in the mesh."""

    first: int  # phases
    second: int
    partition: float = 1.0  # c_second / c_first in equilibrium
    exchange: float | None = None  # m/s, per area of the facets; None: equilibrium

    @property
    def pair(self) -> Pair:
        """The two phases, the lower index first."""
        return min(self.first, self.second), max(self.first, self.second)

    @property
    def tag(self) -> int:
        """Of its facets."""
        return interface_tag(self.first, self.second)


def links_of(mesh: PhaseMesh, physics: Physics) -> tuple[Link, ...]:
    """All interfaces between transport phases in the mesh, the same on all ranks; collective.

    Those without an entry in physics.interfaces are continuous, those whose exchange is too fast to be seen (FAST) are
    in equilibrium. Where there are no entries at all nothing is looked for: there are none then.
    """
    if not physics.interfaces:
        return ()
    comm = mesh.mesh.comm
    found = set().union(*comm.allgather(set(np.unique(mesh.facet_tags.values).tolist())))
    laws = {frozenset((law.first, law.second)): law for law in physics.interfaces}
    links = []
    for i, a in enumerate(physics.solved):
        for b in physics.solved[i + 1 :]:
            if interface_tag(a, b) not in found:
                continue
            law = laws.get(frozenset((mesh.names[a], mesh.names[b])))
            if law is None:
                links.append(Link(a, b))
            else:
                first, second = mesh.names.index(law.first), mesh.names.index(law.second)
                exchange = None if _is_fast(mesh, physics, first, second, law) else law.exchange
                if exchange is not None:
                    exchange *= mesh.smooth.get(interface_tag(a, b), 1.0)
                links.append(Link(first, second, law.partition, exchange))
    return tuple(links)


def _is_fast(mesh: PhaseMesh, physics: Physics, first: int, second: int, law: InterfaceLaw) -> bool:
    """Whether an exchange is as good as equilibrium."""
    here, beyond = (physics.phases[i].effective_diffusivity or 0.0 for i in (first, second))
    # Of c_first, diffusion moves D_first, and in the second phase K D_second.
    return law.exchange is not None and FAST * law.exchange * mesh.unit > max(here, law.partition * beyond)


def check_partitions(physics: Physics, touching: Flags) -> None:
    """Refuse partitions that contradict each other, before there is a mesh.

    Args:
        physics: With the laws.
        touching: (phases, phases) which phases are neighbours in the image.

    Raises:
        InputError: Partitions around a loop of phases contradict each other.
    """
    names = tuple(phase.name for phase in physics.phases)
    laws = {frozenset((law.first, law.second)): law for law in physics.interfaces}
    links = []
    for i, a in enumerate(physics.solved):
        for b in physics.solved[i + 1 :]:
            if touching[a, b]:
                law = laws.get(frozenset((names[a], names[b])))
                first, second = (a, b) if law is None else (names.index(law.first), names.index(law.second))
                links.append(Link(first, second, 1.0 if law is None else law.partition))
    factors_of(links, names, np.zeros(len(names)))


def factors_of(links: Collection[Link], names: tuple[str, ...], driving: Array) -> Array:
    """κ of each phase, (phases,).

    Args:
        links: Interfaces.
        names: Of the phases.
        driving: (phases,) largest concentration that is given in or at each phase. κ is scaled so that u = c/κ is as
            large as the largest of them, among connected phases.

    Raises:
        InputError: Partitions around a loop of phases contradict each other.
    """
    factors = np.ones(len(names))
    steps: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(names))}
    for link in links:
        steps[link.first].append((link.second, link.partition))
        steps[link.second].append((link.first, 1.0 / link.partition))
    before: dict[int, int] = {}
    for root in range(len(names)):
        if root in before:
            continue
        before[root] = root
        part, queue = [root], deque([root])
        while queue:
            phase = queue.popleft()
            for other, ratio in steps[phase]:
                if other not in before:
                    before[other] = phase
                    factors[other] = factors[phase] * ratio
                    part.append(other)
                    queue.append(other)
        largest, reached = driving[part].max(), (driving[part] / factors[part]).max()
        if largest > 0:
            factors[part] *= reached / largest
    for link in links:
        implied = factors[link.second] / factors[link.first]
        if abs(implied - link.partition) > AGREEMENT * link.partition:
            raise _contradiction(link, links, names, before, float(implied))
    return factors


def _contradiction(
    link: Link, links: Iterable[Link], names: tuple[str, ...], before: dict[int, int], implied: float
) -> InputError:
    def to_root(phase: int) -> list[int]:
        path = [phase]
        while before[path[-1]] != path[-1]:
            path.append(before[path[-1]])
        return path

    one, other = to_root(link.first), to_root(link.second)
    meet = next(phase for phase in one if phase in other)
    path = one[: one.index(meet) + 1] + other[: other.index(meet)][::-1]
    of_pair = {each.pair: each for each in links}
    pairs = [of_pair[min(a, b), max(a, b)] for a, b in pairwise(path)]
    told = ", ".join(f"{names[each.second]} = {each.partition:g} · {names[each.first]}" for each in pairs)
    return InputError(
        f"[[interfaces]]: partition: in equilibrium {told} (1 where there is no entry) make "
        f"{names[link.second]} = {implied:g} · {names[link.first]}, but between these two it is {link.partition:g}; "
        f'expected partitions that agree around a loop of phases: give between = ["{names[link.first]}", '
        f'"{names[link.second]}"] the partition {implied:g}, or change one of the others'
    )


def largest_of(values: Array, comm: MPI.Intracomm) -> Array:
    """Largest value of each entry over all ranks."""
    largest = np.empty_like(values)
    comm.Allreduce(values, largest, op=MPI.MAX)
    return largest
