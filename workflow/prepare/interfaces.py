"""What a user should know of the interfaces of a case on its mesh."""

from collections.abc import Sequence

from dolfinx.mesh import CellType

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.adjacency import adjacency
from microlith.meshing.fidelity.surface_areas import has_steps
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.guard.contradictions import clashes, contradictions
from microlith.solver.interfaces.partition import links_of
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.surfaces.passing import exchanging, passing
from microlith.workflow.prepare.first_time import element_length


def interface_warnings(
    problem: Problem, mesh: PhaseMesh, physics: Physics, volume: LabelVolume, periodic: Sequence[str] = ()
) -> list[str]:
    """Sentences on interfaces that the mesh lost, and on surfaces that contradict a partition; collective.

    Laws between phases that do not touch in the image either are told as the case is held against its image.
    """
    stairs = [] if mesh.smooth else _stairs(mesh, passing(mesh, physics), "the error in space does")
    clashing = clashes(problem, mesh, physics)
    if not physics.interfaces:
        return clashing + stairs
    return [
        *clashing,
        *_idle(mesh, physics, volume, periodic),
        *contradictions(problem, mesh, physics, element_length(problem, physics)),
        *stairs,
    ]


def composite_warnings(
    mesh: PhaseMesh, physics: Physics, volume: LabelVolume, periodic: Sequence[str] = ()
) -> tuple[str, ...]:
    """Sentences on interfaces between phases that conduct together which do nothing, or pass too much; collective.

    Args:
        mesh: Of these phases.
        physics: Whose transport phases they are.
        volume: The image.
        periodic: Axes along which it comes again.
    """
    if not physics.interfaces:
        return ()
    idle = _idle(mesh, physics, volume, periodic, "they do not touch")
    return (*idle, *_stairs(mesh, exchanging(mesh, physics), "bounds do"))


def _idle(
    mesh: PhaseMesh, physics: Physics, volume: LabelVolume, periodic: Sequence[str], apart: str = ""
) -> list[str]:
    """Sentences on laws between solved phases that share no interface in the mesh; collective.

    Args:
        mesh: The mesh.
        physics: With the laws.
        volume: The image.
        periodic: Axes along which it comes again.
        apart: What is said of phases that do not touch in the image either; "": they are told elsewhere.
    """
    solved = {mesh.names[i] for i in physics.solved}
    there = {frozenset((mesh.names[link.first], mesh.names[link.second])) for link in links_of(mesh, physics)}
    pairs = [(law.first, law.second) for law in physics.interfaces]
    idle = [pair for pair in pairs if solved.issuperset(pair) and frozenset(pair) not in there]
    if not idle:
        return []
    touching, names = adjacency(volume, mesh.mesh.comm).repeated(periodic).touching, list(volume.names)
    lost = "they touch in the image, but share no interface in the mesh; smaller elements there may help"
    why = [lost if touching[names.index(first), names.index(second)] else apart for first, second in idle]
    return [
        f"[[interfaces]] between {first} and {second} has no effect: {reason}"
        for (first, second), reason in zip(idle, why, strict=True)
        if reason
    ]


def _stairs(mesh: PhaseMesh, tags: dict[str, tuple[int, ...]], unseen_by: str) -> list[str]:
    """A sentence on surfaces of voxels through which lithium passes in proportion to their area; collective.

    Args:
        mesh: The mesh.
        tags: Of such surfaces, by name.
        unseen_by: The figure that knows nothing of it.
    """
    if mesh.mesh.topology.cell_type not in (CellType.quadrilateral, CellType.hexahedron):
        return []
    names = [name for name, some in tags.items() if has_steps(mesh, some)]
    if not names:
        return []
    most = "1.4" if mesh.mesh.topology.dim == 2 else "1.7"
    return [
        f"the steps of {'pixels' if mesh.mesh.topology.dim == 2 else 'voxels'} make slanted and curved surfaces up to "
        f"{most} times too large, and as much too much lithium passes through those of {', '.join(names)}, which "
        f'{unseen_by} not see; compare with [mesh] method = "lattice"'
    ]
