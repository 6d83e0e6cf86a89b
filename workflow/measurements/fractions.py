"""Volume fractions: of the whole image, and of its sections across each axis."""

import numpy as np

from microlith.imaging.measures.volume_fractions import volume_fractions
from microlith.workflow.measurements.findings import Chart, Column, Finding, Line, Number, Panel, Table
from microlith.workflow.measurements.subject import Subject

WHAT = {2: "pixels of the phase over all pixels", 3: "voxels of the phase over all voxels"}


def measure_fractions(subject: Subject) -> Finding:
    """Volume fraction of each phase, whole and by section; collective."""
    volume = subject.volume
    found = volume_fractions(volume, subject.comm)
    what = WHAT[volume.dim]
    numbers, tables, panels = [], [], []
    for phase, name in enumerate(volume.names):
        numbers.append(Number(f"volume_fraction.{name}", float(found.whole[phase]), "1", f"{what}, of the image"))
    for axis, shares, edge in zip(subject.axes, found.sections, volume.voxel_size, strict=True):
        for phase, name in enumerate(volume.names):
            for end, value in (("least", shares[:, phase].min()), ("most", shares[:, phase].max())):
                numbers.append(
                    Number(
                        f"volume_fraction_{end}_{axis}.{name}",
                        float(value),
                        "1",
                        f"{what}, of the section across {axis} where they are {end}",
                    )
                )
        place = (np.arange(len(shares)) + 0.5) * edge
        table = f"volume-fractions-{axis}"
        columns = (Column(axis, place, "m"), *(Column(n, shares[:, i], "1") for i, n in enumerate(volume.names)))
        tables.append(Table(table, f"volume fraction of each phase in the sections across {axis}", "profile", columns))
        lines = tuple(Line(table, axis, name, name) for name in volume.names)
        panels.append(Panel(axis, "volume fraction", lines))
    return Finding(numbers, tables, [Chart("volume-fractions", tuple(panels[::-1]))])
