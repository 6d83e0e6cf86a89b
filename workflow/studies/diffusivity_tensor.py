"""The whole tensor of effective diffusivity of an image that comes again and again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.solver.conduction.tensor import ConductionTensor, conduction_tensor
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages, table_console
from microlith.workflow.prepare.checks import MORE, TIMES
from microlith.workflow.results.json_file import versions
from microlith.workflow.studies.conducting import Conducting, hand_out, meshed_phases

log = logging.getLogger(__name__)

CONVENTIONS = {
    "relative_tensor": "D_eff / D_phase of the image repeated without end along all its axes: mean flux per mean "
    "gradient; its quadratic form is an upper bound of that of the meshed shape",
    "principal_values": "of relative_tensor, falling; principal_axes are their directions, x first",
    "unmatched_share_inside": "the same between layers of voxels within the image: what to expect if it repeats",
    "unmatched_share": "share of the area of the phase at the two faces across each axis that has none opposite: "
    "nothing passes there",
}


@dataclass(frozen=True, eq=False)
class DiffusivityTensor:
    """What one phase, or several together, conduct in an image that comes again along all axes."""

    case: Case
    phases: tuple[str, ...]  # names
    in_phase: float | None  # D_phase, m^2/s, of the first phase; None: no single one
    found: ConductionTensor
    method: str  # that made the mesh
    degree: int  # of the elements
    ranks: int
    seconds: dict[str, float]  # stage -> s
    warnings: tuple[str, ...] = ()  # what to bear in mind with the figures, in sentences

    @property
    def relative(self) -> Array:
        """D_eff / D_phase, (dim, dim), x first."""
        return self.found.values

    @property
    def values(self) -> Array | None:
        """D_eff in m^2/s, (dim, dim); None where the case gives no one value to multiply."""
        return None if self.in_phase is None else self.found.values * self.in_phase


def tensor(
    case: Case,
    phase: str | Sequence[str],
    output: Path | None,
    show: bool = True,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    *,
    force: bool = False,
) -> DiffusivityTensor:
    """Find the tensor of effective diffusivity, print it and, if asked to, write it to a file; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities.
        output: The JSON file, beside which a page goes, or the result folder.
        show: Whether to print it.
        comm: The ranks that share the work.
        force: Whether earlier results in the folder are replaced.

    Raises:
        InputError: The case, its image or the phase is at fault, or opposite faces of the mesh do not match.
    """
    found = diffusivity_tensor(case, phase, comm)
    hand_out(comm, partial(_print, found) if show else None, partial(_entries, found), output, force)
    return found


def diffusivity_tensor(
    case: Case, phase: str | Sequence[str], comm: MPI.Intracomm = MPI.COMM_WORLD
) -> DiffusivityTensor:
    """Find the tensor of effective diffusivity; nothing is printed or written; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image or the phase is at fault, or opposite faces of the mesh do not match.
    """
    stages = Stages()
    ready = meshed_phases(case, phase, stages, comm)
    if any(link.exchange is not None or link.partition != 1.0 for link in ready.medium.links):
        raise InputError(
            f"--periodic: {case.path}: [[interfaces]] between {' and '.join(ready.names)} let the concentration jump, "
            "and across periodic faces jumps are not solved for; expected phases that are continuous, or leave "
            "--periodic out"
        )
    with stages.stage("solve", "solving"):
        found = conduction_tensor(ready.medium, ready.degree, case.solver)
    warnings = _mismatch(case, ready, found)
    for sentence in warnings if comm.rank == 0 else ():
        log.warning("%s", sentence)
    physics = case.physics.phases[ready.indices[0]]
    single = len(ready.indices) > 1 or (physics.law is None and physics.anisotropy is None)
    return DiffusivityTensor(
        case=case,
        phases=ready.names,
        in_phase=physics.effective_diffusivity if single else None,
        found=found,
        method=ready.meshed.method,
        degree=ready.degree,
        ranks=comm.size,
        seconds=stages.timings,
        warnings=warnings,
    )


def _mismatch(case: Case, ready: Conducting, found: ConductionTensor) -> tuple[str, ...]:
    """How far opposite faces match, where they do not, in a sentence.

    Raises:
        InputError: The mesh is no one of squares or cubes, and its opposite faces have other facets.
    """
    shares = {axis: share for axis, share in zip(AXES, found.unmatched, strict=False) if share > 0}
    if shares and ready.meshed.method != "voxel":
        raise InputError(
            f"--periodic: {case.path}: the {ready.meshed.method} mesh has other facets on opposite faces "
            f'(along {", ".join(shares)}), so that they can\'t be joined; expected [mesh] method = "voxel", or leave '
            "--periodic out: what deff then tells is, along each axis, that of the image with its mirror images"
        )
    much = [
        f"{100 * share:.0f} % along {axis} (within the image {100 * inside:.0f} %)"
        for axis, share, inside in zip(AXES, found.unmatched, found.inside, strict=False)
        if share > TIMES * inside + MORE
    ]
    if not much:
        return ()
    return (
        f"of the area of {' + '.join(ready.names)} at opposite faces, {', '.join(much)} meets none on the other side, "
        "and nothing passes there; for images that do not repeat leave --periodic out: that is the image with its "
        "mirror images along each axis",
    )


def _print(tensor: DiffusivityTensor) -> None:
    from rich.table import Table

    found = tensor.found
    axes = AXES[: len(found.values)]
    title = f"{' + '.join(tensor.phases)}: {found.fraction:.5f} of the box, repeated"
    table = Table("D_eff / D_phase", *axes, title=title, title_justify="left")
    for axis, row in zip(axes, found.values, strict=True):
        table.add_row(axis, *(f"{value:.6g}" for value in row))
    console = table_console()
    console.print(table)
    for value, direction in zip(*found.principal, strict=True):
        words = ", ".join(f"{part:.4f}" for part in direction)
        console.print(f"principal value {value:.6g} along ({words})", markup=False, soft_wrap=True)
    of = f" of {tensor.phases[0]}" if len(tensor.phases) > 1 else ""
    if tensor.in_phase is not None:
        console.print(f"D_phase{of} = {tensor.in_phase:.6g} m²/s", markup=False, soft_wrap=True)
    console.print(f"{100 * found.connected:.3f} % goes on from box to box", markup=False, soft_wrap=True)


def _entries(tensor: DiffusivityTensor) -> dict[str, Any]:
    found, one = tensor.found, len(tensor.phases) == 1
    axes = AXES[: len(found.values)]
    values, directions = found.principal
    diagonal = {axis: float(found.values[k, k]) for k, axis in enumerate(axes)}
    return {
        "versions": versions(),
        "case": tensor.case.path,
        "image": tensor.case.image.path,
        "phase": " + ".join(tensor.phases),
        "phases": list(tensor.phases),
        "warnings": list(tensor.warnings),
        "faces": "periodic",
        "volume_fraction": found.fraction,
        "phase_diffusivity_m2_per_s": tensor.in_phase,
        "conventions": CONVENTIONS,
        "relative_tensor": found.values.tolist(),
        "tensor_m2_per_s": None if tensor.values is None else tensor.values.tolist(),
        "principal_values": values.tolist(),
        "principal_axes": directions.tolist(),
        "connected_share": found.connected,
        "unmatched_share_inside": {axis: float(share) for axis, share in zip(axes, found.inside, strict=True)},
        "unmatched_share": {axis: float(share) for axis, share in zip(axes, found.unmatched, strict=True)},
        "axes": {
            axis: {
                "relative_effective_diffusivity": value,
                "effective_diffusivity_m2_per_s": None if tensor.in_phase is None else value * tensor.in_phase,
                "tortuosity_factor": found.fraction / value if one and value > 0 else None,
            }
            for axis, value in diagonal.items()
        },
        "mesh": {"method": tensor.method, "degree": tensor.degree, "unknowns": found.unknowns},
        "solver": found.method,
        "iterations": found.iterations,
        "ranks": tensor.ranks,
        "timings_s": tensor.seconds,
    }
