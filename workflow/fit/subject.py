"""What a fit is of: a case, the keys that are varied, and measured curves; checked before any work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.workflow.case.case import Case
from microlith.workflow.case.changes import key_parts
from microlith.workflow.case.read import case_of
from microlith.workflow.fit.measured import Measured, measured_in_memory, read_measured
from microlith.workflow.fit.parameters import Parameter, parameters_of, with_values

VARIED = ("phases", "interfaces", "faces")  # tables whose values a fit may change: none of these touches the mesh


@dataclass(frozen=True)
class Subject:
    """What is fitted to what."""

    tables: Mapping[str, Any]  # of the case file
    path: Path  # of it
    image: NDArray[Any] | None  # in place of a file
    parameters: tuple[Parameter, ...]
    measured: Measured
    check_memory: bool = True  # whether what would not fit is refused

    def case(self, x: Array | Sequence[float]) -> Case:
        """The case with the parameters at x, each from 0 to 1, as its file would have it.

        Raises:
            InputError: It is no case with these values.
        """
        return self.of(with_values(self.tables, self.parameters, x))

    def of(self, tables: Mapping[str, Any]) -> Case:
        """The case of changed tables.

        Raises:
            InputError: It is none.
        """
        return replace(case_of(tables, self.path, image=self.image), check_memory=self.check_memory)


def refuse_keys(subject: Subject) -> None:
    """Refuse parameters of which curves on one mesh can't be found, and ends that the case file does not allow.

    Raises:
        InputError: As said.
    """
    count = len(subject.parameters)
    for one in subject.parameters:
        if key_parts(one.key)[0] not in VARIED:
            raise InputError(
                f"--vary {one.key}: a fit varies what stands in [phases], [[interfaces]] and [faces], on one mesh; "
                "expected such a key, as phases.sei.diffusivity"
            )
    base = subject.of(subject.tables)
    for end in (0.0, 1.0):
        other = subject.case([end] * count)
        same = [(case.labels, case.physics.solved, case.mesh) for case in (base, other)]
        if same[0] != same[1]:
            raise InputError(f"--vary: these keys change the mesh of {subject.path}; vary physical values only")


def subject_of(
    tables: Mapping[str, Any],
    path: Path,
    data: Path | Mapping[str, Any],
    vary: Sequence[str] | Mapping[str, str],
    image: NDArray[Any] | None = None,
) -> Subject:
    """What is to be fitted to what, checked as far as it can be without the image.

    Args:
        tables: Of the case file.
        path: Of the case file.
        data: CSV file, or columns by name.
        vary: KEY=RANGE each, or key -> range.
        image: In place of its file.

    Raises:
        InputError: The case, the data, a key or a range is at fault.
    """
    case = case_of(tables, path, image=image)
    parameters = parameters_of(tables, vary)
    regions, end = list(case.regions), case.time.end
    measured = (
        measured_in_memory(data, regions, end) if isinstance(data, Mapping) else read_measured(data, regions, end)
    )
    few = len(parameters) + (measured.deviations is None)
    if measured.size < few or not measured.times[-1:].any():
        raise InputError(
            f"--data {measured.name}: too few values ({measured.size}) for this number of parameters "
            f"({len(parameters)}), which take at least {few}, some of them after time 0"
        )
    subject = Subject(tables, path, image, parameters, measured)
    refuse_keys(subject)
    return subject
