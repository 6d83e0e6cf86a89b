"""How many solves a run takes, by a rule: from what changes with time and how well it is to be known.

`trial` counts them; the rule serves where that can't be done, and for how much fewer a looser tolerance asks for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import Physics
from microlith.workflow.estimate import costs


@dataclass(frozen=True)
class Solves:
    """Linear solves of an integration."""

    number: float
    stepped: bool  # whether the problem is nonlinear, and they are iterations of Newton's method
    counted: bool = False  # whether they were counted in a trial, and not told by the rule
    set_ups: float = 0.0  # of these, such that need new factors or multigrid, where `stepped`


def expected_solves(physics: Physics, tolerance: float, dim: int) -> Solves:
    """About how many solves an integration takes.

    Args:
        physics: Of the case.
        tolerance: Of its curves in time.
        dim: Of the space.
    """
    decades = max(0.0, -math.log10(tolerance))
    if physics.is_stepped:
        number = costs.STEPS * 10 ** (costs.STEPS_POWER * (decades - 3))
        return Solves(number, True, set_ups=costs.SET_UPS * number)
    few, each = costs.SOLVES[dim]
    number = few + each * decades
    rates = [(physics.phases[i].effective_diffusivity or 0.0) / physics.phases[i].porosity for i in physics.solved]
    if rates and min(rates) > 0 and max(rates) > costs.CONTRAST * min(rates):
        number *= costs.SOLVES_CONTRAST[dim]
    changing = {id(course) for course in _loads(physics) if not course.is_constant}
    return Solves(number * (1.0 + costs.SOLVES_LOAD * len(changing)), False)


def _loads(physics: Physics) -> Iterator[Course]:
    for phase in physics.phases:
        if isinstance(phase.concentration, Course):
            yield phase.concentration
    for face in physics.faces.values():
        for value in (face.concentration, face.flux, face.current_density):
            if isinstance(value, Course):
                yield value
