"""The largest errors of a curve: where they matter, and apart from that at the first moments."""

from dataclasses import dataclass

from microlith.imaging.typing import Array

MATTERS = 1e-3  # of the end: errors before are told apart, as few ask for a curve there and meshes are coarse for it


@dataclass(frozen=True)
class Peak:
    """The largest error of a curve over some of the times."""

    error: float  # per what the region holds
    time: float  # s


def late_and_early(times: Array, errors: Array) -> tuple[Peak, Peak | None]:
    """The largest error from MATTERS of the end on, and that before; None where the curve has no time there.

    Args:
        times: (times,) increasing, the last is the end.
        errors: (times,) per what the region holds.
    """
    late = times >= MATTERS * times[-1]
    return _peak(times[late], errors[late]), None if late.all() else _peak(times[~late], errors[~late])


def _peak(times: Array, errors: Array) -> Peak:
    place = int(errors.argmax())
    return Peak(float(errors[place]), float(times[place]))
