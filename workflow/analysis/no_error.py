"""Why a number has no standard error, in a sentence's part, so that nobody takes it for exact."""

import math
from collections.abc import Mapping
from dataclasses import replace

from microlith.workflow.analysis.representativeness import QUANTITIES
from microlith.workflow.measurements.findings import Finding, Number
from microlith.workflow.measurements.scatter import FEWEST, PARTS, SMALLEST

EXTREME = "it is an extreme, which parts of the image tell nothing of"
GROWS = "it grows with the image, so that parts tell nothing of it"
CONNECTED = "what is connected within parts of the image tells nothing of what is in the whole"
# By the beginning of a quantity's name
REASONS = {
    "volume_fraction_least": EXTREME,
    "volume_fraction_most": EXTREME,
    "particle_diameter_largest": EXTREME,
    "particle_extent_largest": EXTREME,
    "section_density_most": EXTREME,
    "section_diameter_largest": EXTREME,
    "distance_largest": EXTREME,
    "distance_hausdorff": EXTREME,
    "particle_number": GROWS,
    "particle_volume_meeting": GROWS,
    "triple_line": GROWS,
    "pieces": GROWS,
    "connected": CONNECTED,
    "particle_share_meeting": CONNECTED,
    "tortuosity_not_reached": CONNECTED,
    "tortuosity_geodesic_through": "the last section is too small to be cut into parts, or a line, where few ways end",
    "connections_end": "it is of a single section",
}
NO_VALUE = "there is no value"
NOT_MEASURED = "the representativeness of the image was not measured"
NO_PARTS = (
    f"no {FEWEST} parts of the image have it and differ in it; edges below {PARTS[-1] * SMALLEST} voxels are not cut"
)
UNKNOWN = "parts of the image do not tell it"


def with_reasons(findings: Mapping[str, Finding], in_parts: bool) -> dict[str, Finding]:
    """Findings whose numbers say why they have no error, where they have none.

    Args:
        findings: With the errors that are known.
        in_parts: Whether parts of the image were measured.
    """

    def told(number: Number) -> Number:
        return number if number.error is not None else replace(number, no_error=_reason(number, in_parts))

    return {
        name: replace(found, numbers=[told(number) for number in found.numbers]) for name, found in findings.items()
    }


def _reason(number: Number, in_parts: bool) -> str:
    if not math.isfinite(number.value):
        return NO_VALUE
    quantity = number.name.split(".")[0]
    for beginning, reason in REASONS.items():
        if quantity.startswith(beginning):
            return reason
    if quantity in QUANTITIES and number.sampled:
        return NO_PARTS if in_parts else NOT_MEASURED
    return UNKNOWN
