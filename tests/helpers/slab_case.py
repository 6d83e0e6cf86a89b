"""A small case with a closed form: 8 pixels of source before 40 of a slab, which is closed on its other sides."""

import numpy as np
from closed_forms import slab_mean

PIXEL = 1e-8  # m
LENGTH = 40 * PIXEL  # of the slab
D = 1e-14  # m²/s
END = 2 * LENGTH**2 / D  # s: the slab is nearly full
REGIONS = """
[regions.all]
phase = "slab"
[regions.far]
box = { x = ["300 nm", "430 nm"] }
"""
SPANS = {"all": (0.0, LENGTH), "far": (22 * PIXEL, 35 * PIXEL)}  # from the source on


def slab_phases(source=1000, initial=0):
    """The phases of the case file; concentrations in mol/m³."""
    return f"""
[phases.pore]
label = 0
role = "source"
concentration = "{source} mol/m^3"
[phases.slab]
label = 1
role = "transport"
diffusivity = "1e-14 m^2/s"
initial = "{initial} mol/m^3"
"""


SLAB = slab_phases()


def slab_image(rows=20):
    """Labels of `rows` rows of pixels."""
    image = np.ones((rows, 48), np.uint8)
    image[:, :8] = 0
    return image


def filled(times, low, high):
    """Mean from `low` to `high` (m from the source on) of a slab that starts empty, per the source's concentration."""
    return slab_mean(np.atleast_1d(times), low, high, LENGTH, D)
