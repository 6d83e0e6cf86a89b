"""Element sizes for a wanted error, from what a study of a case found."""

from microlith.meshing.methods import METHODS, method_name
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.schema.units import length_text
from microlith.workflow.studies.study import Advice, Study

COARSEST_ADVISED = 2.0  # sizes are not told to be larger than what was tried
SMALLEST_ADVISED = 1e-6  # a low order would ask for sizes of no meaning
FINEST_ADVISED = 0.25  # per size of the finest mesh: beyond, the law is a guess


def advised(study: Study, meshed: Meshed, wanted: float) -> Advice | None:
    """Sizes at which the worst region has a wanted error in space; None where the study has one mesh only.

    No size is advised below the shortest edge of a voxel, as the image knows its interfaces to half a voxel only.

    Args:
        study: The study.
        meshed: The case with its image.
        wanted: Error from a thousandth of the end on, per what a region holds.
    """
    case = study.case
    errors = {name: found.peaks[0].error for name, found in study.regions.items() if found.peaks is not None}
    powers = {name: found.law.power for name, found in study.regions.items() if found.law is not None}
    factors = {name: (wanted / max(errors[name], 1e-300)) ** (1.0 / powers[name]) for name in powers}
    if not factors:
        return None
    deciding = min(factors, key=factors.__getitem__)
    needed = max(factors[deciding], SMALLEST_ADVISED)
    finest = min(study.size(outcome) for outcome in study.levels)
    sentences = []
    if needed > COARSEST_ADVISED:
        needed = COARSEST_ADVISED
        sentences.append("coarser meshes would perhaps do, but were not tried")
    law = study.regions[deciding].law
    if law is not None and law.order is None:
        sentences.append(
            f"no order is established in region {deciding}, so this takes the error to fall with the size; try it"
        )
    pixel = meshed.volume.unit
    method = METHODS[method_name(case.mesh, meshed.volume.dim)]
    sizes, largest = method.sizes(meshed.volume, case.physics.solved, case.mesh)
    smallest = case.mesh.size_factor * min(sizes.values())
    factor = max(needed, min(1.0, pixel / smallest))
    if factor < FINEST_ADVISED * finest:
        sentences.append("this is far beyond the finest mesh of the study: go there in steps")
    if case.mesh.method == "voxel":
        sentences.append("squares and cubes have no sizes: take method fitted or lattice, or a higher degree")
    labelled = {entry.name for entry in case.labels if entry.any}  # not what was split off a source
    return Advice(
        wanted=wanted,
        needed=needed,
        needed_size=needed * smallest,
        factor=factor,
        expected=max(errors[name] * factor ** powers[name] for name in powers),
        pixel=pixel,
        size={name: factor * size for name, size in sizes.items() if name in labelled},
        size_max=factor * largest,
        unknowns=study.base.unknowns * factor**-study.dim,
        deciding=deciding,
        sentences=tuple(sentences),
    )


def advice_lines(case: Case, advice: Advice) -> list[str]:
    """The advice in sentences."""
    wanted = f"for {advice.wanted:g} of what a region holds, in space (region {advice.deciding} decides),"
    by = f"multiply the sizes by {advice.factor:.2g}, which gives about {float(f'{advice.unknowns:.2g}'):,.0f} unknowns"
    if advice.factor <= advice.needed:
        return [f"{wanted} {by}{_sizes(case, advice)}", *advice.sentences]
    whose = "the smallest size" if case.mesh.method != "voxel" else "the cells"
    lines = [
        f"{wanted} {whose} would have to be {length_text(float(f'{advice.needed_size:.2g}'))}, below a pixel or voxel "
        f"({length_text(float(f'{advice.pixel:.4g}'))}): that adds nothing that the image knows, as it tells where its "
        "interfaces are to half a voxel only; microlith converge --segmentation says what that means for the curves"
    ]
    if advice.factor < 1.0:
        lines.append(f"down to there, {by} and an error of about {advice.expected:.1e}{_sizes(case, advice)}")
    else:
        lines.append(f"the error of the case as given is about {advice.expected:.1e}")
    return [*lines, *advice.sentences]


def _sizes(case: Case, advice: Advice) -> str:
    """The sizes, to copy into the case file."""
    if case.mesh.method == "voxel":
        return ""
    sizes = ", ".join(f'{name} = "{length_text(float(f"{size:.3g}"))}"' for name, size in advice.size.items())
    parts = ", ".join(
        f'{part.region} = "{length_text(float(f"{advice.factor * part.size:.3g}"))}"' for part in case.mesh.size_in
    )
    within = f", size_in = {{ {parts} }}" if parts else ""
    return f': size = {{ {sizes} }}{within}, size_max = "{length_text(float(f"{advice.size_max:.3g}"))}"'
