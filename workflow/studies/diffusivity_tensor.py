"""The whole tensor of effective diffusivity of an image that comes again and again."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.cuts import best_cuts
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.repeated import cut_elsewhere
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.methods import ALIKE, method_name
from microlith.solver.conduction.tensor import ConductionTensor, conduction_tensor
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages, table_console
from microlith.workflow.prepare.checks import MORE, TIMES
from microlith.workflow.prepare.meshed import CaseImage
from microlith.workflow.results.json_file import versions
from microlith.workflow.studies.conducting import (
    NO_ERROR,
    Conducting,
    diffusivities_in_words,
    far_apart,
    hand_out,
    image_of,
    meshed_phases,
    phase_index,
    shape_only,
    tell_law,
    thin_parts,
    told_of_mesh,
)

log = logging.getLogger(__name__)

UNSURE = 1e-9  # of the largest figure of an axis: the solver leaves as much
AGREEMENT = 1e-6  # of the bounds, which are the same where fluxes are the exact ones

CONVENTIONS = {
    "relative_tensor": "D_eff / D_phase of the image repeated without end along all its axes: mean flux per mean "
    "gradient; its quadratic form is an upper bound of that of the meshed shape",
    "relative_tensor_at_least": "lower bound of what the meshed shape conducts, to the tolerance of the solver: in no "
    "direction n less than n.(it).n, as relative_tensor is an upper bound; null: not asked for",
    "relative_effective_diffusivity": "of each axis, the diagonal of relative_tensor; ..._at_least that of "
    "relative_tensor_at_least",
    "tortuosity_factor": "of each axis, volume_fraction / (D_eff / D_phase)",
    "principal_values": "of relative_tensor, falling; principal_axes are their directions, x first",
    "unmatched_share": "share of the voxels of the phase at the two faces across each axis that have none opposite: "
    "nothing passes there",
    "unmatched_share_inside": "the same between layers of voxels within the image: what to expect if it repeats",
}


@dataclass(frozen=True, eq=False)
class DiffusivityTensor:
    """What one phase, or several together, conduct in an image that comes again along all axes."""

    case: Case
    phases: tuple[str, ...]  # names
    in_phase: float | None  # D_phase, m^2/s, of the first phase; None: no single one
    found: ConductionTensor
    # Share of the voxels of the phases at the two faces across each axis that have none opposite
    unmatched: tuple[float, ...]
    inside: tuple[float, ...]  # the same between layers of voxels within the image
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
    bounds: bool = True,
) -> DiffusivityTensor:
    """Find the tensor of effective diffusivity, print it and, if asked to, write it to a file; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities.
        output: The JSON file, beside which a page goes, or the result folder.
        show: Whether to print it.
        comm: The ranks that share the work.
        force: Whether earlier results in the folder are replaced.
        bounds: Whether a lower bound is wanted, too.

    Raises:
        InputError: The case, its image or the phase is at fault.
    """
    found = diffusivity_tensor(case, phase, comm, bounds)
    hand_out(comm, partial(_print, found) if show else None, partial(_entries, found), output, force)
    return found


def diffusivity_tensor(
    case: Case, phase: str | Sequence[str], comm: MPI.Intracomm = MPI.COMM_WORLD, bounds: bool = True
) -> DiffusivityTensor:
    """Find the tensor of effective diffusivity; nothing is printed or written; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities.
        comm: The ranks that share the work.
        bounds: Whether a lower bound is wanted, too.

    Raises:
        InputError: The case, its image or the phase is at fault.
    """
    stages = Stages()
    _refuse_mesh(case)
    image = image_of(case, stages, comm, periodic=True)
    ready = meshed_phases(case, phase, stages, comm, _cut(image, case, phase, comm), int(case.check_memory))
    with stages.stage("solve", "solving"):
        found = conduction_tensor(ready.medium, ready.degree, case.solver, bounds)
    unmatched, inside = unmatched_shares(image.volume, ready.indices, comm)
    thin = thin_parts(image.case, image.volume, ready.indices, comm)
    apart = _bounds_far_apart(found)
    warnings = (
        *_mismatch(ready, unmatched, inside),
        *apart,
        *thin,
        *ready.of_interfaces,
        *shape_only(case, ready.names),
    )
    if comm.rank == 0:
        for sentence in warnings:
            log.warning("%s", sentence)
        tell_law(case, ready.names)
    physics = case.physics.phases[ready.indices[0]]
    single = len(ready.indices) > 1 or (physics.law is None and physics.anisotropy is None)
    return DiffusivityTensor(
        case=case,
        phases=ready.names,
        in_phase=physics.effective_diffusivity if single else None,
        found=found,
        unmatched=unmatched,
        inside=inside,
        method=ready.meshed.method,
        degree=ready.degree,
        ranks=comm.size,
        seconds=stages.timings,
        warnings=(*told_of_mesh(ready.meshed, comm), *warnings),
    )


def _cut(image: CaseImage, case: Case, phase: str | Sequence[str], comm: MPI.Intracomm) -> CaseImage:
    """The image as the mesher of smooth surfaces gets it: cut where it meets the phases' surface least; collective.

    Vertices on its faces stay in them, so that there a part of one voxel's width gets too thin.
    """
    if method_name(image.case.mesh, image.volume.dim) != "lattice":
        return image
    names = (phase,) if isinstance(phase, str) else phase
    planes = best_cuts(image.volume, [phase_index(case, name) for name in names], comm)
    if not any(planes):
        return image
    if comm.rank == 0:
        words = ", ".join(f"{axis} = {plane}" for axis, plane in zip(AXES, reversed(planes), strict=False))
        log.info("for the mesh the image begins at the voxel %s: places in it count from there", words)
    return CaseImage(image.case, cut_elsewhere(image.volume, planes), None)


def _refuse_mesh(case: Case) -> None:
    """Refuse meshes that do not close on themselves.

    Raises:
        InputError: As said.
    """
    at = f"--periodic: {case.path}: [mesh]"
    if case.mesh.unit is not None:
        raise InputError(f"{at} file: a mesh of another program ends at its outer faces; leave file out")
    if case.mesh.method not in ("auto", *ALIKE):
        raise InputError(
            f'{at} method = "{case.mesh.method}" makes other elements on opposite faces; '
            f"take {' or '.join(map(json.dumps, ALIKE))}, or leave method out"
        )


def unmatched_shares(
    volume: LabelVolume, phases: Sequence[int], comm: MPI.Intracomm
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Share of the sides of voxels of some phases, taken together, that meet none of them; collective.

    Args:
        volume: The image.
        phases: Their indices.
        comm: All ranks.

    Returns:
        Across the faces of the image that comes again, along each axis, x first; and between its layers within, which
        is what to expect at the faces, wherever the image is cut.
    """
    dim = volume.dim
    chosen = np.isin(np.arange(256), phases)
    alone, sides = slab_sum(volume, comm, partial(_sides, volume, chosen), halo=(0, 1)).reshape(2, dim)
    within = alone / np.maximum(sides, 1)
    across = []
    for axis in range(dim):
        k = dim - 1 - axis
        ends = [
            tuple((place, place + 1) if i == k else span for i, span in enumerate(volume.whole_window))
            for place in (0, volume.shape[k] - 1)
        ]
        low, high = (chosen[volume.read(end if comm.rank == 0 else volume.empty_window).phase] for end in ends)
        share = np.count_nonzero(low != high) / max(np.count_nonzero(low) + np.count_nonzero(high), 1)
        across.append(float(comm.bcast(share)))
    return tuple(across), tuple(map(float, within))


def _sides(volume: LabelVolume, chosen: Flags, slab: Slab) -> Numbers:
    """Sides of chosen voxels that meet another one across each axis, x first, which is not chosen; and all of them."""
    counts = np.zeros((2, volume.dim), np.int64)
    if not slab.empty:
        for k, step in enumerate(np.eye(volume.dim, dtype=int).tolist()):
            one, other = (chosen[side] for side in slab.pairs(step))
            counts[:, volume.dim - 1 - k] = np.count_nonzero(one != other), one.sum() + other.sum()
    return counts.ravel()


def _bounds_far_apart(found: ConductionTensor) -> tuple[str, ...]:
    """What bounds along axes leave open, and where rounding leaves nothing, in sentences."""
    told: list[str | None] = []
    largest = float(found.values.diagonal().max())
    for k, axis in enumerate(AXES[: len(found.values)]):
        upper = float(found.values[k, k])
        lower = None if found.lower is None else float(found.lower[k, k])
        if 0 < upper < UNSURE * largest or (lower is not None and lower > (1 + AGREEMENT) * upper):
            least = "" if lower is None else f"; the lower bound is {lower:.3g}"
            told.append(
                f"along {axis} D_eff / D_phase is told as {upper:.3g}, beside {largest:.3g} along another axis: "
                f"rounding may leave no digit of it{least}"
            )
        else:
            told.append(far_apart(axis, lower, upper))
    return tuple(sentence for sentence in told if sentence is not None)


def _mismatch(ready: Conducting, unmatched: Sequence[float], inside: Sequence[float]) -> tuple[str, ...]:
    """How far opposite faces match, where they do not, in a sentence."""
    much = [
        f"{100 * share:.0f} % along {axis} (within the image {100 * usual:.0f} %)"
        for axis, share, usual in zip(AXES, unmatched, inside, strict=False)
        if share > TIMES * usual + MORE
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
    if found.lower is not None:
        least = ", ".join(f"{value:.6g} along {axis}" for axis, value in zip(axes, found.lower.diagonal(), strict=True))
        console.print(f"at least {least}: the meshed shape conducts no less", markup=False, soft_wrap=True)
    else:
        console.print(NO_ERROR, markup=False, soft_wrap=True)
    for value, direction in zip(*found.principal, strict=True):
        words = ", ".join(f"{part:.4f}" for part in direction)
        console.print(f"principal value {value:.6g} along ({words})", markup=False, soft_wrap=True)
    if len(tensor.phases) > 1:
        lines = diffusivities_in_words(tensor.case, tensor.phases)
    else:
        lines = [] if tensor.in_phase is None else [f"D_phase = {tensor.in_phase:.6g} m²/s"]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"{100 * found.connected:.3f} % goes on from box to box", markup=False, soft_wrap=True)


def _entries(tensor: DiffusivityTensor) -> dict[str, Any]:
    found, one = tensor.found, len(tensor.phases) == 1
    axes = AXES[: len(found.values)]
    values, directions = found.principal
    diagonal = {axis: float(found.values[k, k]) for k, axis in enumerate(axes)}
    lower = {axis: None if found.lower is None else float(found.lower[k, k]) for k, axis in enumerate(axes)}
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
        "no_error": None if found.lower is not None else NO_ERROR,
        "relative_tensor": found.values.tolist(),
        "relative_tensor_at_least": None if found.lower is None else found.lower.tolist(),
        "tensor_m2_per_s": None if tensor.values is None else tensor.values.tolist(),
        "principal_values": values.tolist(),
        "principal_axes": directions.tolist(),
        "connected_share": found.connected,
        "unmatched_share_inside": dict(zip(axes, tensor.inside, strict=True)),
        "unmatched_share": dict(zip(axes, tensor.unmatched, strict=True)),
        "axes": {
            axis: {
                "relative_effective_diffusivity": value,
                "relative_effective_diffusivity_at_least": lower[axis],
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
