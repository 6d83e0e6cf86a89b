"""What a study may be asked for. Imports nothing heavy: the first rank looks at it before the others start anything."""

from collections.abc import Sequence
from pathlib import Path

from microlith.imaging.errors import InputError
from microlith.workflow.case.case import Case
from microlith.workflow.schema.kinds import nearest

SMALLEST_ERROR = 1e-10  # as of [time] tolerance
MOST_LEVELS = 7  # the finest with a quarter of the sizes


def refuse_levels(levels: int | None) -> None:
    """Refuse a number of meshes that makes no sense.

    Raises:
        InputError: It is below 1 or above MOST_LEVELS.
    """
    if levels is not None and not 1 <= levels <= MOST_LEVELS:
        raise InputError(f"--levels {levels}: expected a number of meshes from 1 to {MOST_LEVELS}")


def refuse_error(wanted: float | None) -> None:
    """Refuse an error that no mesh is chosen for.

    Raises:
        InputError: It is not between SMALLEST_ERROR and 1.
    """
    if wanted is not None and not SMALLEST_ERROR <= wanted < 1:
        raise InputError(
            f"--error {wanted:g}: expected the wanted error relative to what a region holds, at least "
            f"{SMALLEST_ERROR:g} and below 1"
        )


def refuse_phase(case: Case, phase: str | None) -> None:
    """Refuse a phase that the case has not.

    Raises:
        InputError: As said.
    """
    names = [labels.name for labels in case.labels]
    if phase and phase not in names:
        raise InputError(
            f'--segmentation {phase}: {case.path} has no phase "{phase}"; {nearest(phase, names, "phases")}'
        )


def moved_of(case: Case, words: Sequence[str | Path] | None) -> str | tuple[Path, Path] | None:
    """What is moved, of the words of --segmentation.

    Args:
        case: The case.
        words: None: the option is not there; none: all solved phases; one: a phase; two: label images.

    Returns:
        None: nothing; a phase, "" for all solved ones; or two files.

    Raises:
        InputError: The case has no such phase, there is no such file, or there are too many words.
    """
    if words is None:
        return None
    if len(words) > 2:
        raise InputError(f"--segmentation: expected a phase or two label images, got {len(words)} words")
    if len(words) < 2:
        phase = str(words[0]) if words else ""
        if Path(phase).suffix and Path(phase).exists():
            raise InputError(f"--segmentation {phase}: expected two label images, one for each way, got one")
        refuse_phase(case, phase)
        return phase
    for file in words:
        if not Path(file).exists():
            raise InputError(f"--segmentation {file}: there is no such file")
    return Path(words[0]), Path(words[1])
