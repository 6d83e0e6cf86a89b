"""Element sizes for a wanted error, from what a study of a case found."""

from microlith.imaging.options import LARGEST_SIZE, SIZE_AT_SURFACES
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.schema.units import length_text
from microlith.workflow.studies.study import Advice, Study

COARSEST_ADVISED = 2.0  # sizes are not told to be larger than what was tried
FINEST_ADVISED = 0.25  # per size of the finest mesh: beyond, the law is a guess


def advised(study: Study, meshed: Meshed, wanted: float) -> Advice | None:
    """Sizes at which the worst region has a wanted error in space; None where the study has one mesh only.

    Args:
        study: The study.
        meshed: The case with its image.
        wanted: Error, per reference concentration.
    """
    case = study.case
    factors = {
        name: (wanted / max(found.largest, 1e-300)) ** (1.0 / found.law.power)
        for name, found in study.regions.items()
        if found.law is not None and found.largest is not None
    }
    if not factors:
        return None
    deciding = min(factors, key=factors.__getitem__)
    factor = factors[deciding]
    finest = min(study.size(outcome) for outcome in study.levels)
    sentences = []
    if factor > COARSEST_ADVISED:
        factor = COARSEST_ADVISED
        sentences.append("coarser meshes would perhaps do, but were not tried")
    law = study.regions[deciding].law
    if law is not None and law.order is None:
        sentences.append(
            f"no order is established in region {deciding}, so this takes the error to fall with the size; try it"
        )
    if factor < FINEST_ADVISED * finest:
        sentences.append("this is far beyond the finest mesh of the study: go there in steps")
    if case.mesh.method == "voxel":
        sentences.append("squares and cubes have no sizes: take method fitted or lattice, or a higher degree")
    pixel = meshed.volume.unit
    sizes = dict(case.mesh.size) or {case.physics.phases[i].name: SIZE_AT_SURFACES * pixel for i in case.physics.solved}
    labelled = {entry.name for entry in case.labels if entry.any}  # not what was split off a source
    largest = case.mesh.size_max or LARGEST_SIZE * max(meshed.volume.extent)
    return Advice(
        wanted=wanted,
        factor=factor,
        size={name: factor * size for name, size in sizes.items() if name in labelled},
        size_max=factor * largest,
        unknowns=study.base.unknowns * factor**-study.dim,
        deciding=deciding,
        sentences=tuple(sentences),
    )


def advice_lines(case: Case, advice: Advice) -> list[str]:
    """The advice in sentences."""
    lines = [
        f"for {advice.wanted:g} in space (region {advice.deciding} decides) multiply the sizes by {advice.factor:.2g}, "
        f"which gives about {advice.unknowns:.2g} unknowns"
    ]
    if case.mesh.method != "voxel":
        sizes = ", ".join(f'{name} = "{length_text(float(f"{size:.2g}"))}"' for name, size in advice.size.items())
        largest = length_text(float(f"{advice.size_max:.2g}"))
        lines[0] += f': size = {{ {sizes} }}, size_max = "{largest}"'
    return lines + list(advice.sentences)
