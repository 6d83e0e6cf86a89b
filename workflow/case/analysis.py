"""What a case says of the measurements in its image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microlith.workflow.case.case import AnalysisOptions
from microlith.workflow.case.files import image_path
from microlith.workflow.case.physics import check_phase
from microlith.workflow.schema.kinds import Place


def analysis_options(raw: dict[str, Any], phases: Sequence[str], folder: Path, at: Place) -> AnalysisOptions:
    """The table [analysis], checked.

    Args:
        raw: As parsed.
        phases: Names of the phases of the case.
        folder: Beside which files are looked for.
        at: Of the table.

    Raises:
        InputError: A phase is none of the case, or both a pore and a particle.
    """
    for key in ("pores", "particles", "deff"):
        for i, name in enumerate(raw.get(key, ())):
            check_phase(name, list(phases), at.child(key).item(i))
    for name in raw.get("particles", ()):
        if name in raw.get("pores", ()):
            raise at.child("particles").error(f'"{name}" is in pores too; a phase is one of them at most')
    for name in raw["reach"]:
        check_phase(name, list(phases), at.child("reach"))
    if "particle_labels" in raw:
        raw = {**raw, "particle_labels": image_path(raw["particle_labels"], folder, at.child("particle_labels"))}
    return AnalysisOptions(**raw)
