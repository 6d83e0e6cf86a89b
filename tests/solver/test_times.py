"""Times at which functions of time cross a value."""

import numpy as np
import pytest

from microlith.solver.times import crossing_within


def test_crossing_of_smooth_functions_and_of_a_jump():
    assert crossing_within(lambda t: np.exp(-t) - 0.5, 0.6, 0.8) == pytest.approx(np.log(2), abs=1e-14)
    assert crossing_within(lambda t: np.cbrt(t - 0.3), 0.0, 1.0) == pytest.approx(0.3, abs=1e-10)
    assert crossing_within(lambda t: np.where(t > 0.7, 2.0, -1.0), 0.0, 1.0) == pytest.approx(0.7, abs=1e-10)
    assert crossing_within(lambda t: -np.sin(t), 2.0, 12.0) == pytest.approx(np.pi, abs=1e-13)  # the first of three
    assert crossing_within(lambda t: t - 0.25, 0.25, 1.0) == 0.25
    assert crossing_within(lambda t: t**2 + 1.0, -1.0, 1.0) is None
