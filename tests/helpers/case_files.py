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

RICH = """
[image]
file = "image.tif"

[phases.pore]
label = 0
role = "source"
concentration = { times = ["0 s", "10 s", "10 s", "1 min"], values = ["0 M", "1 M", "500 mM", "0 M"], period = "2 min" }
mass_transfer = { times = ["5 s", "20 s", "30 s"], values = ["0 m/s", "1 um/s", "1 um/s"], interpolation = "step" }
connected_to = "y_max"

[phases.electrolyte]
label = 1
role = "transport"
diffusivity = { x = "2e-10 m^2/s", y = "5e-11 m^2/s" }
porosity = 0.25
effective = { tortuosity = 2.5 }
initial = "1 mM"
decay = "0.6 1/min"

[phases.silicon]
label = 2
role = "transport"
diffusivity = { concentrations = ["0 M", "1 M", "2 M"], values = ["1e-16 m^2/s", "3e-15 m^2/s", "2e-15 m^2/s"] }

[phases.graphite]
label = 3
role = "transport"
diffusivity = { expression = "D0 * (1 + c / c0)", D0 = "1e-14 m^2/s", c0 = "500 mol/m^3" }

[phases.film]
label = 4
role = "sink"
uptake = { rate = "1e-6 m/s", capacity = "1 nmol/cm^2" }

[[interfaces]]
between = ["electrolyte", "silicon"]
partition = 2
exchange = "1 um/s"

[[interfaces]]
between = ["graphite", "electrolyte"]
film = { thickness = "10 nm", diffusivity = "1e-16 m^2/s" }

[[interfaces]]
between = ["silicon", "graphite"]
partition = 0.5

[time]
end = "1 h"

[regions.skin]
surface = "silicon"
threshold = 0.25

[regions.rind]
surface = "film"

[faces.x_min]
concentration = "1 M"
mass_transfer = "1 um/s"
phases = ["electrolyte", "silicon"]

[faces.x_max]
flux = { times = ["0 s", "1 h"], values = ["-1e-6 mol/m^2/s", "1e-6 mol/m^2/s"] }

[faces.y_min]
current_density = "-1 mA/cm^2"
phases = ["graphite"]
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
