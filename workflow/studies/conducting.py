"""The phases of a case that conduct, meshed."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.repeated import with_layers
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.imaging.parallel.memory import free_memory, shortage
from microlith.imaging.writing import write_text
from microlith.meshing.mesh.few_layers import FEWEST
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.meshing.methods import METHODS, ImageToMesh, method_name
from microlith.solver.conduction.medium import Medium, composite, conducting_alone, one_phase
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.assemble import log_report
from microlith.workflow.prepare.checks import PAST
from microlith.workflow.prepare.interfaces import composite_warnings
from microlith.workflow.prepare.meshed import CaseImage, Meshed, degree_of, file_named, mesh_of, read_image
from microlith.workflow.report.of_conduction import conduction_page
from microlith.workflow.report.sections import page_of
from microlith.workflow.results.folder import CONDUCTION, REPORT, result_folder
from microlith.workflow.results.json_file import write_summary
from microlith.workflow.schema.kinds import nearest
from microlith.workflow.voxel_conduction import BYTES, WAYS, coarsen_words

log = logging.getLogger(__name__)
NO_ERROR = "no error told: without a lower bound D_eff / D_phase is an upper bound of what the meshed shape conducts"
JSON = ".json"

# Bytes per element at the peak, by (dimension, degree up to 2), of the mesh and the solution of the steady problem; on
# the low side, since what would just fit must not be refused.
_BYTES_PER_SIMPLEX = {(2, 1): 1500, (2, 2): 1600, (3, 1): 1500, (3, 2): 1700}
_BYTES_PER_VOXEL = {(2, 1): 1000, (2, 2): 4000, (3, 1): 2500, (3, 2): 15000}


# Bounds whose ratio is larger leave the figure open.
FAR = 2.0
# Share of the phases in parts of one or two voxels from which on a smooth surface says little of what they conduct.
THIN = 0.1


@dataclass(frozen=True, eq=False)
class Conducting:
    """Phases of a case, meshed, and what they conduct."""

    names: tuple[str, ...]
    indices: tuple[int, ...]
    meshed: Meshed
    medium: Medium
    degree: int  # of the elements
    of_interfaces: tuple[str, ...] = ()  # what to bear in mind of those between the phases, in sentences


def meshed_phases(
    case: Case,
    phase: str | Sequence[str],
    stages: Stages,
    comm: MPI.Intracomm,
    image: CaseImage | None = None,
    room: int = 1,
) -> Conducting:
    """Mesh the phases that conduct; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of a phase, or names of several that conduct together.
        stages: Takes the times.
        comm: The ranks that share the mesh.
        image: What `image_of` found for the case, where that has been done.
        room: How many times the mesh and its solution must fit into memory; 0: memory is not looked at.

    Raises:
        InputError: The case, its image or a phase is at fault.
    """
    names = (phase,) if isinstance(phase, str) else tuple(dict.fromkeys(phase))
    indices = tuple(phase_index(case, name) for name in names)
    if len(indices) > 1:
        _refuse_phases(case, indices)
    if image is None:
        image = image_of(case, stages, comm)
    if room:
        _refuse_too_large(image, indices, room, comm)
    meshed = mesh_of(image.case, indices, stages, comm, check=False, image=image)
    on_root(comm, log_report, meshed)
    with file_named(case):
        medium = conducting(meshed.mesh, case, indices)
    of_interfaces = composite_warnings(
        meshed.mesh, conducting_alone(case.physics, indices), meshed.volume, image.case.mesh.periodic
    )
    return Conducting(names, indices, meshed, medium, _degree(case, meshed.method, meshed.volume.dim), of_interfaces)


def image_of(case: Case, stages: Stages, comm: MPI.Intracomm, periodic: bool = False) -> CaseImage:
    """The image of a case whose faces are as the command says, not as those of runs; collective.

    Args:
        case: With its image.
        stages: Takes the time.
        comm: All ranks.
        periodic: Whether the image comes again along all its axes; one of very few voxels along an axis, which no mesh
            closes on itself for, then comes several times. Else its sides are sealed.

    Raises:
        InputError: The image can't be read.
    """

    def with_faces(axes: Sequence[str]) -> Case:
        return replace(case, mesh=replace(case.mesh, periodic=tuple(axes)))

    with file_named(case), stages.stage("image", "reading the image"):
        found = read_image(with_faces(()), comm, check=False)
    if not periodic:
        return found
    dim = found.volume.dim
    thick = with_layers(found.volume, FEWEST)
    image = found.image if thick is found.volume else None
    mesh = with_faces(AXES[:dim]).mesh
    return CaseImage(replace(found.case, mesh=mesh), replace(thick, periodic=tuple(range(dim))), image)


def conducting(mesh: PhaseMesh, case: Case, indices: tuple[int, ...]) -> Medium:
    """What phases of a case, by their indices, conduct on a mesh of them; collective."""
    return composite(mesh, case.physics, indices) if len(indices) > 1 else one_phase(mesh, indices[0])


def phase_index(case: Case, name: str) -> int:
    """Index of the phase of that name.

    Raises:
        InputError: There is none.
    """
    names = [labels.name for labels in case.labels]
    if name not in names:
        raise InputError(f'--phase {name}: {case.path} has no phase "{name}"; {nearest(name, names, "phases")}')
    return names.index(name)


def _degree(case: Case, method: str, dim: int) -> int:
    """Degree of the elements: 2 on a lattice where the case does not say, as that is the cheapest way to an error.

    The pore between spheres of a face-centred cube that overlap by 5 % has a tortuosity factor of 1.906; 50 voxels
    along an edge give 1.863 at degree 1 and 1.909 at degree 2 for 1.7 times the time, 100 voxels 1.890 and 1.906.
    Cubes have edges that the field is singular at: degree 2 does little there.
    """
    if case.degree is None and method == "lattice":
        return 2
    return degree_of(case, dim)


def _refuse_too_large(image: CaseImage, indices: Sequence[int], room: int, comm: MPI.Intracomm) -> None:
    """Refuse phases whose mesh and solution would not fit into memory; collective.

    Args:
        image: The case and its image.
        indices: Of the phases.
        room: How many times they must fit.
        comm: All ranks.

    Raises:
        InputError: As said, with what would fit.
    """
    case, volume = image.case, image.volume
    if case.mesh.file:
        return
    with file_named(case):
        method = method_name(case.mesh, volume.dim)
    kind = volume.dim, min(2, _degree(case, method, volume.dim))
    each = (_BYTES_PER_VOXEL if method == "voxel" else _BYTES_PER_SIMPLEX)[kind] * (room if method == "voxel" else 1)
    memory = free_memory(comm)
    given = ImageToMesh(volume, case.mesh, list(indices), comm, image.image)
    needed = METHODS[method].count(given, memory / each)(case.mesh) * each
    if needed <= memory:
        return
    ways = [coarsen_words(needed / memory, volume.dim)]
    if volume.dim == 3 and len(indices) == 1 and (method != "voxel" or case.degree not in (None, 1)):
        by_voxels = room * volume.counts[indices[0]] * BYTES
        if by_voxels <= memory:
            how = f'take [mesh] method = "voxel" with elements of degree 1, which need about {by_voxels / 1e9:.3g} GB'
            ways.insert(0, how)
    what = {"voxel": "squares" if volume.dim == 2 else "cubes"}.get(method, "elements")
    raise InputError(f"{case.path}: [mesh] {shortage(what, needed, memory)}{', '.join([*ways, WAYS, PAST])}")


def _refuse_phases(case: Case, indices: Sequence[int]) -> None:
    """Refuse phases that can't conduct together.

    Raises:
        InputError: One of them has no diffusivity, or one that depends on the concentration.
    """
    for index in indices:
        physics = case.physics.phases[index]
        where = f"--phase {physics.name}: {case.path}: [phases.{physics.name}]"
        if physics.law is not None:
            raise InputError(
                f"{where}: the diffusivity depends on the concentration, and phases conduct together with constant "
                "ones only; expected a single value, such as that at the concentration you ask about"
            )
        if not physics.effective_diffusivity:
            raise InputError(
                f"{where} has no diffusivity, and phases that conduct together each need one; expected "
                'role = "transport" and diffusivity = "...", or leave the phase out: it is then impermeable'
            )


def shape_only(case: Case, names: Sequence[str]) -> tuple[str, ...]:
    """That figures leave the diffusivity of a phase by itself out, as it differs along the axes, in a sentence."""
    if len(names) > 1 or case.physics.phases[phase_index(case, names[0])].anisotropy is None:
        return ()
    return (f"the diffusivity of {names[0]} differs along the axes: the figures are for the shape of the phase alone",)


def far_apart(axis: str, lower: float | None, upper: float) -> str | None:
    """That bounds leave almost all open, in a sentence, where they do.

    Args:
        axis: Along which they are.
        lower: None: there is none.
        upper: What is told as D_eff / D_phase.
    """
    if lower is None or upper <= FAR * lower:
        return None
    return (
        f"along {axis} the bounds are far apart, {lower:.3g} and {upper:.3g}, as where what conducts best is a voxel "
        "wide or meets in corners only: take the figure for an upper bound and no more"
    )


def told_of_mesh(meshed: Meshed, comm: MPI.Intracomm) -> tuple[str, ...]:
    """What was warned of when the image was meshed, in sentences, on all ranks; collective."""
    found = None if meshed.report is None else tuple(meshed.report.warnings(meshed.case.mesh))
    return comm.bcast(found) or ()


def thin_parts(case: Case, volume: LabelVolume, indices: Sequence[int], comm: MPI.Intracomm) -> tuple[str, ...]:
    """That much of the phases is too thin for a smooth surface, in a sentence; collective.

    Straight channels of 1 to 3 voxels, square across, conducted 0.89 to 1.02 times what they should in images of 8 to
    14 voxels; those of 4 voxels 0.998 to 1.

    Args:
        case: Its mesh counts.
        volume: The image.
        indices: Of the phases.
        comm: All ranks.
    """
    measured = METHODS[method_name(case.mesh, volume.dim)].thin_share
    if measured is None or case.mesh.unit is not None:
        return ()
    share = measured(ImageToMesh(volume, case.mesh, list(indices), comm))
    if share <= THIN:
        return ()
    return (
        f"{100 * share:.0f} % of {' + '.join(volume.names[i] for i in indices)} is at most two voxels thick, where a "
        "smooth surface is a guess: straight channels so thin conduct up to 11 % too little on such meshes, and 2 % "
        'too much; compare with [mesh] method = "voxel"',
    )


def tell_law(case: Case, names: Sequence[str]) -> None:
    """Tell what figures of a phase by itself are where its diffusivity depends on the concentration; on one rank."""
    if len(names) == 1 and case.physics.phases[phase_index(case, names[0])].law is not None:
        what = "the diffusivity of %s depends on c: D_eff is D_phase(c) times the share that is told"
        log.info(what, names[0])


def diffusivities_in_words(case: Case, names: Sequence[str]) -> list[str]:
    """What D_phase of phases that conduct together is, and what D_eff of them is per."""
    lines = []
    for name in names:
        physics = case.physics.phases[phase_index(case, name)]
        axes = " along the axis of the fastest diffusion" if physics.anisotropy is not None else ""
        lines.append(f"D_phase of {name} = {physics.effective_diffusivity:.6g} m²/s{axes}")
    if any(law.partition != 1.0 and {law.first, law.second} <= set(names) for law in case.physics.interfaces):
        lines.append(f"D_eff: flux per gradient of the concentration in {names[0]}, or in equilibrium with it")
    return lines


def hand_out(
    comm: MPI.Intracomm,
    show: Callable[[], None] | None,
    entries: Callable[[], dict[str, Any]],
    output: Path | None,
    force: bool,
) -> None:
    """Print what was found, and write it to a file with a page beside it, or to a folder; collective.

    Args:
        comm: The ranks, of which the first one does it.
        show: What prints; None: nothing does.
        entries: Makes what goes into the file.
        output: The JSON file, whose name ends so, or the result folder; None: there is none.
        force: Whether earlier results in the folder are replaced.

    Raises:
        InputError: The file or the folder can't be written.
    """
    if show is not None:
        on_root(comm, show)
    if output is None:
        return
    if output.suffix == JSON:
        on_first_rank(comm, lambda: _write(entries(), output, page_beside(output)))
        names = [output, page_beside(output)]
    else:
        with result_folder(output, force, comm, "deff") as folder:
            on_first_rank(comm, lambda: _write(entries(), folder / CONDUCTION, folder / REPORT))
        names = [output / CONDUCTION, output / REPORT]
    if comm.rank == 0:
        log.info("effective diffusivity: %s", ", ".join(map(str, names)))


def page_beside(path: Path) -> Path:
    """The report that goes with a JSON file."""
    return path.with_suffix(".html")


def _write(entries: dict[str, Any], figures: Path, page: Path) -> None:
    write_summary(figures, entries)
    write_text(page, page_of(figures, conduction_page).html())
