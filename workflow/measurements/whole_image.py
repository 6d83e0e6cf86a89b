"""Measurements that need the whole image on one rank: whether they fit into memory, and two of them at once."""

import math
from collections.abc import Callable, Sequence

from microlith.imaging.errors import InputError
from microlith.imaging.measures.surfaces import SHAPES_UP_TO
from microlith.imaging.parallel.collective import on_root, together
from microlith.imaging.parallel.memory import memory_of_machine, shortage
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.measurements.findings import Finding
from microlith.workflow.measurements.structure import thickness_alone
from microlith.workflow.measurements.subject import Subject
from microlith.workflow.measurements.surface_distances import distances_alone
from microlith.workflow.measurements.ways import ways_alone
from microlith.workflow.prepare.checks import PAST

# Bytes a voxel at the most, the image itself included, on the rank that does it, by dimension; measured, see
# benchmarks/analysis.py. In 2D ways have a layer more on each side of the pixels, and maps show all of these.
BYTES = {
    2: {"surfaces": 8, "particles": 25, "thickness": 20, "distances": 28, "tortuosity": 47},
    3: {"surfaces": 8, "particles": 25, "thickness": 14, "distances": 16, "tortuosity": 26},
}
KEPT = 5  # from the first on: image and faces
LARGEST = 1 << 30  # voxels that go from rank to rank in one piece
ALONE: dict[str, Callable[[Subject], Finding]] = {
    "thickness": thickness_alone,
    "distances": distances_alone,
    "tortuosity": ways_alone,
}
SECOND = "thickness"  # what the second rank does meanwhile


def refuse_too_large(case: Case, subject: Subject, asked: Sequence[str]) -> None:
    """Refuse an image in which a measurement that needs all of it on one rank would not fit into memory; collective.

    Raises:
        InputError: As said, with what would fit.
    """
    if not case.check_memory:
        return
    voxels, takes = math.prod(subject.volume.shape), BYTES[subject.volume.dim]

    def check() -> None:
        memory = memory_of_machine()
        over = [name for name in takes if name in asked and takes[name] * voxels > memory]
        if voxels > SHAPES_UP_TO[subject.volume.dim]:  # slab by slab then
            over = [name for name in over if name != "surfaces"]
        if not over:
            return
        worst = max(over, key=takes.__getitem__)
        most = takes[worst]
        edge = math.ceil((most * voxels / memory) ** (1 / subject.volume.dim) * case.image.coarsen)
        left = [name for name in asked if name not in over]
        without = f"leave {', '.join(over)} out of [analysis] measure, " if left else ""
        voxel = "pixels" if subject.volume.dim == 2 else "voxels"
        raise InputError(
            f"{case.path}: {shortage(f'{voxels:.3g} {voxel} in which one rank finds {worst}', most * voxels, memory)}"
            f"crop the image, coarsen it ([image] coarsen = {edge} would fit), {without}{PAST}"
        )

    on_root(subject.comm, check)


def at_once(subject: Subject, asked: Sequence[str], stages: Stages) -> dict[str, Finding]:
    """What two ranks find at the same time in the whole image; collective.

    Nothing where there is one rank only, nothing for a second one to do, or no memory for both.

    Args:
        subject: The image.
        asked: Names of measurements.
        stages: Takes the times.

    Returns:
        Name of a measurement -> what it gave.
    """
    comm, voxels, takes = subject.comm, math.prod(subject.volume.shape), BYTES[subject.volume.dim]
    names = [name for name in asked if name in ALONE]
    others = [takes[name] for name in names if name != SECOND]
    if comm.size == 1 or SECOND not in names or not others or voxels > LARGEST:
        return {}
    if not comm.bcast(memory_of_machine() > (max(others) + takes[SECOND] + KEPT) * voxels):
        return {}
    with stages.stage("+".join(names), "measuring local thickness, distances and ways on two ranks"):
        subject.lend(1)
        if "distances" in names and subject.pores and subject.particles:
            subject.find_faces()

        def mine() -> dict[str, Finding]:
            return {name: ALONE[name](subject) for name in names if comm.rank == (name == SECOND)}

        found = together(comm, mine)
        subject.forget("faces")
        if comm.rank:
            subject.forget("image")
        return {name: subject.shared(found.get(name), int(name == SECOND)) for name in names}
