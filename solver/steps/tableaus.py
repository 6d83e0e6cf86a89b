"""Runge-Kutta methods for stiff problems: diagonally implicit, stiffly accurate, with an embedded method."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from microlith.imaging.typing import Array


@dataclass(frozen=True, eq=False)
class Tableau:
    """U_i = u + h Σ_j a_ij k_j; the last stage is the new value, and Σ_j (a_sj − b̂_j) h k_j its estimated error."""

    name: str
    order: int
    embedded_order: int
    a: Array  # (stages, stages), lower triangular; one value on the diagonal, but where the first stage is explicit
    embedded: Array  # (stages,) b̂

    @cached_property
    def c(self) -> Array:
        """Times of the stages per step, (stages,)."""
        return self.a.sum(axis=1)

    @property
    def gamma(self) -> float:
        """The value on the diagonal."""
        return float(self.a[-1, -1])

    @property
    def first_implicit(self) -> int:
        """The first stage that has to be solved for: 1 where stage 0 is the state at the step's start."""
        return int(self.a[0, 0] == 0.0)


# A step of order 1 that takes the derivative at its end only: what a sudden change is entered with.
EULER = Tableau("backward Euler", 1, 0, np.array([[1.0]]), np.array([0.0]))

# ESDIRK4(3)6L[2]SA: Kennedy and Carpenter, Appl. Numer. Math. 44 (2003) 139-181, doi 10.1016/S0168-9274(02)00138-1, the
# implicit part of ARK4(3)6L[2]SA. L-stable, stages of order 2.
ESDIRK4 = Tableau(
    "ESDIRK4(3)6L[2]SA",
    4,
    3,
    np.array(
        [
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [1 / 4, 1 / 4, 0.0, 0.0, 0.0, 0.0],
            [8611 / 62500, -1743 / 31250, 1 / 4, 0.0, 0.0, 0.0],
            [5012029 / 34652500, -654441 / 2922500, 174375 / 388108, 1 / 4, 0.0, 0.0],
            [
                15267082809 / 155376265600,
                -71443401 / 120774400,
                730878875 / 902184768,
                2285395 / 8070912,
                1 / 4,
                0.0,
            ],
            [82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211, 1 / 4],
        ]
    ),
    np.array(
        [
            4586570599 / 29645900160,
            0.0,
            178811875 / 945068544,
            814220225 / 1159782912,
            -3700637 / 11593932,
            61727 / 225920,
        ]
    ),
)

_R = np.sqrt(2.0)

# TR-BDF2: Bank, Coughran, Fichtner, Grosse, Rose and Smith, IEEE Trans. Electron Devices 32 (1985) 1992-2007, doi
# 10.1109/T-ED.1985.22232; the embedded method of order 3 from Hosea and Shampine, Appl. Numer. Math. 20 (1996) 21-37,
# doi 10.1016/0168-9274(95)00115-8. L-stable, two stages to solve for.
TRBDF2 = Tableau(
    "TR-BDF2",
    2,
    3,
    np.array([[0.0, 0.0, 0.0], [1 - _R / 2, 1 - _R / 2, 0.0], [_R / 4, _R / 4, 1 - _R / 2]]),
    np.array([(1 - _R / 4) / 3, (1 + 3 * _R / 4) / 3, (2 - _R) / 6]),
)
