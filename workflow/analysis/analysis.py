"""All that was measured in the image of a case."""

from collections.abc import Mapping
from dataclasses import dataclass

from microlith.imaging.image.volume import LabelVolume
from microlith.workflow.case.case import Case
from microlith.workflow.measurements.findings import Finding, Number, Table
from microlith.workflow.run.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that was measured in the image of a case; the same on all ranks, but for charts and maps."""

    case: Case
    volume: LabelVolume
    provenance: Provenance
    findings: Mapping[str, Finding]  # measurement -> what it gave
    seconds: Mapping[str, float]  # stage -> s

    @property
    def numbers(self) -> dict[str, Number]:
        """All numbers by name."""
        return {number.name: number for found in self.findings.values() for number in found.numbers}

    @property
    def tables(self) -> dict[str, Table]:
        """All tables by name."""
        return {table.name: table for found in self.findings.values() for table in found.tables}
