"""How far an interval of a parameter goes before the case file allows the value no more, as of a diffusivity below 0.

A key's own checks say that, with all that depends on them: no list of limits is kept here.
"""

from collections.abc import Callable

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.workflow.fit.subject import Subject

HALVINGS = 60  # of what lies between the range and the end of the interval
NOTHING = 1e-9  # of the range: a limit that near 0 is 0


def allowed_end(subject: Subject, x: Array, k: int, end: float) -> float | None:
    """The last value of a parameter, in its unit, towards the end of an interval; None where that itself is allowed.

    Args:
        subject: What is fitted.
        x: (n,) the parameters that were found, each from 0 to 1 within its range, all of which is allowed.
        k: Which of them.
        end: Of the interval, on the same scale.
    """
    parameter = subject.parameters[k]

    def allowed(at: float) -> bool:
        try:
            subject.case([at if i == k else float(other) for i, other in enumerate(x)])
        except InputError:
            return False
        return True

    if 0.0 <= end <= 1.0 or allowed(end):
        return None
    value = parameter.value(_last(allowed, min(max(end, 0.0), 1.0), end))
    return 0.0 if abs(value) < NOTHING * (parameter.high - parameter.low) else value


def _last(allowed: Callable[[float], bool], good: float, bad: float) -> float:
    """The place between a good and a bad one from which on all are bad."""
    for _ in range(HALVINGS):
        middle = 0.5 * (good + bad)
        good, bad = (middle, bad) if allowed(middle) else (good, middle)
    return good
