"""Effective diffusivity of phases on the voxels of the image: what `deff` finds, at settings that parts afford."""

import math

from microlith.imaging.axes import AXES
from microlith.imaging.image.coarser import coarser
from microlith.workflow.measurements.findings import Finding, Number
from microlith.workflow.measurements.subject import Subject


def measure_diffusivity(subject: Subject) -> Finding:
    """Effective diffusivity along each axis, of each phase that it is asked of; collective.

    The image is coarsened as far as the whole asks for, its parts as far as the whole, so that both are alike.
    """
    from microlith.imaging.options import MeshOptions
    from microlith.meshing.distribution.compilation import share_compiled_forms
    from microlith.meshing.methods import METHODS, ImageToMesh
    from microlith.solver.conduction.conduction import conduction
    from microlith.solver.options import SolverOptions

    share_compiled_forms()
    comm, edge = subject.comm, subject.coarsening
    if min(subject.volume.shape) < edge:
        return Finding()  # of a part narrower than a block
    volume = coarser(subject.volume, edge, comm)
    axes = AXES[: volume.dim]
    numbers = []
    for phase in subject.conducting:
        relative = dict.fromkeys(axes, 0.0)
        if volume.counts[phase]:
            given = ImageToMesh(volume, MeshOptions(method="voxel"), [phase], comm)
            mesh = METHODS["voxel"].phase_mesh(METHODS["voxel"].image_mesh(given), [phase], comm)
            relative = {found.axis: found.relative for found in conduction(mesh, phase, axes, 1, SolverOptions())}
        share = volume.counts[phase] / math.prod(volume.shape)
        numbers += _numbers(volume.names[phase], relative, share, edge)
    return Finding(numbers)


def _numbers(name: str, relative: dict[str, float], share: float, edge: int) -> list[Number]:
    numbers = []
    cells = "with each voxel as an element" if edge == 1 else f"with each block of {edge} voxels' edges as an element"
    how = f"{cells}, degree 1, which is an upper bound on these elements"
    for axis, value in relative.items():
        told = f"D_eff / D_phase of {name} along {axis}: flux through the image's cross-section per gradient, {how}"
        numbers.append(Number(f"relative_diffusivity_{axis}.{name}", value, "1", told))
        told = f"tortuosity factor of {name} along {axis}: volume fraction over D_eff / D_phase; null: nothing conducts"
        tau = share / value if value > 0 else math.inf
        numbers.append(Number(f"tortuosity_factor_{axis}.{name}", tau, "1", told))
    return numbers
