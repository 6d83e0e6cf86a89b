"""A case file with every table, and edits of it."""

from pathlib import Path

CASE = """
title = "Test case"

[image]
file = "image.tif"
voxel_size = "12.5 nm"

[phases.pore]
label = 0
role = "source"
concentration = "1 mol/L"
mass_transfer = "0.001 m/s"

[phases.sei]
label = 1
role = "transport"
diffusivity = "3.01e-10 cm^2/s"
porosity = 0.64
effective = "bruggeman"
initial = "0 mol/L"

[phases.grain]
label = 2
role = "barrier"

[phases.metal]
label = 3
role = "sink"
uptake = "1e-6 m/s"

[mesh]
method = "auto"
size = { grain = "25 nm" }
size_max = "200 nm"
growth = 0.3
gap_elements = 2
junction_size = "10 nm"
degree = 3

[time]
end = "100 s"
tolerance = 1e-4
snapshots = ["0 s", "2 s", "100 s"]
times = ["1 s", "1 min"]

[solver]
linear = "cg"
max_solves = 50
inner_tolerance = 1e-8

[regions.I]
box = { x = ["0.2 um", "0.6 um"], y = ["-1 um", "1.4 um"] }

[regions.rim]
shell = { around = "grain", distance = "100 nm" }

[regions.spot]
disk = { center = ["1 um", "2 um"], radius = "300 nm" }

[regions.ball]
sphere = { center = ["1 um", "2 um", "3 um"], radius = "300 nm" }

[regions.triangle]
polygon = [["0 um", "0 um"], ["1 um", "0 um"], ["0 um", "1 um"]]

[regions.all]
phase = "sei"

[regions.drawn]
labels = "image.tif"
label = 2

[faces.x_min]
concentration = "500 mol/m^3"
mass_transfer = "1 um/s"
"""

SMALL = """
[image]
file = "image.tif"

[phases.pore]
label = 0
role = "source"
concentration = "1 M"

[phases.sei]
label = 1
role = "transport"
diffusivity = "1e-14 m^2/s"

[time]
end = "1 h"
"""


def edited(old: str, new: str, text: str = CASE) -> str:
    """The text with its one `old` replaced."""
    assert text.count(old) == 1, f"{text.count(old)} times in the case file: {old}"
    return text.replace(old, new)


def write_case(folder: Path, text: str = CASE, name: str = "case.toml") -> Path:
    """Case file in a folder, with a file that stands for its image."""
    (folder / "image.tif").touch()
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
