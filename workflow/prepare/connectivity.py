"""Sources of which only what is connected to an outer face feeds: the rest becomes a barrier of its own."""

import logging
from dataclasses import replace

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.percolation import percolation
from microlith.imaging.options import PhaseLabels
from microlith.solver.physics.phases import PhasePhysics, Role
from microlith.workflow.case.case import Case

log = logging.getLogger(__name__)


def with_connectivity(case: Case, volume: LabelVolume, comm: MPI.Intracomm) -> tuple[Case, LabelVolume]:
    """Split each source with `connected_to` into what feeds and what doesn't, in the case and in its image; collective.

    Elements at the surfaces of what is cut off have the size that the case asks for at the whole phase: the mesh does
    not depend on what is connected.

    Args:
        case: As loaded.
        volume: Its image.
        comm: All ranks.

    Returns:
        Case and image with a phase "NAME (not connected)" more, a barrier without labels, for each source of which some
        is cut off; the same ones where there is none.

    Raises:
        InputError: Nothing of a source lies at its face; on all ranks.
    """
    faces = {i: phase.connected_to for i, phase in enumerate(case.physics.phases) if phase.connected_to is not None}
    if not faces:
        return case, volume
    found = percolation(volume, faces, comm)
    for index, share in found.connected.items() if comm.rank == 0 else ():
        rest = "" if share == 1 else "; the rest is a barrier"
        log.info("%s: %.1f %% of it is connected to %s%s", volume.names[index], 100 * share, faces[index], rest)
    added = found.volume.names[len(volume.names) :]
    size = dict(case.mesh.size)
    for index, name in zip(found.rest_of, added, strict=True):
        if volume.names[index] in size:
            size[name] = size[volume.names[index]]
    return replace(
        case,
        labels=(*case.labels, *(PhaseLabels(name, ()) for name in added)),
        physics=replace(
            case.physics, phases=(*case.physics.phases, *(PhasePhysics(name, Role.BARRIER) for name in added))
        ),
        mesh=replace(case.mesh, size=size),
    ), found.volume


def as_loaded(case: Case) -> Case:
    """The case without the phases that were split off: those without labels."""
    kept = sum(1 for labels in case.labels if labels.any)
    if kept == len(case.labels):
        return case
    names = {labels.name for labels in case.labels[:kept]}
    size = {name: size for name, size in case.mesh.size.items() if name in names}
    physics = replace(case.physics, phases=case.physics.phases[:kept])
    return replace(case, labels=case.labels[:kept], physics=physics, mesh=replace(case.mesh, size=size))
