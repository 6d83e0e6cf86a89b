"""The page of pictures of particles, in 2D and 3D alike."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microlith.workflow.pictures.canvas import Canvas, ColourBar
from microlith.workflow.pictures.frames import Frame
from microlith.workflow.pictures.particle_colours import Colour, TimeColours, legend_of_particles
from microlith.workflow.pictures.sample import Sample


def page_of_particles(sample: Sample, frame: Frame, times: TimeColours, around: Mapping[str, Colour]) -> Canvas:
    """The canvas with a bar of times, and a legend of the phases around and of particles that never have half."""
    bar = ColourBar(times.mappable, f"t50 of the particle's surface / {times.unit}")
    canvas = Canvas(sample.title, frame, bar, {**around, **legend_of_particles(times)})
    times.axis(canvas.bar_axis)
    return canvas


def draw_page(canvas: Canvas, path: Path, picture: NDArray[np.uint8]) -> None:
    """Write the picture of particles."""
    canvas.draw(path, picture, "When half has reached each particle's surface", "t50 of particles")
