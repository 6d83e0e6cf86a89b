"""Areas of the surfaces of phases and between pairs of them, and the length of the lines where three meet."""

from itertools import combinations

from microlith.workflow.measurements.findings import Finding, Number
from microlith.workflow.measurements.subject import Subject


def measure_surfaces(subject: Subject) -> Finding:
    """Areas and triple lines; collective."""
    volume = subject.volume
    found, lines = subject.surfaces_and_lines()
    size = volume.voxel_measure
    for n in volume.shape:
        size *= n
    flat = volume.dim == 2
    what, unit = ("length", "m") if flat else ("area", "m^2")
    of = "over the area of the image" if flat else "over the volume of the image"
    numbers = []
    for phase, name in enumerate(volume.names):
        area, error = float(found.of_phase[phase]), float(found.error_of_phase[phase])
        told = f"{what} of the surface of the phase towards all others, without the image's frame"
        numbers.append(_number(f"surface_area.{name}", area, error, unit, told))
        numbers.append(_number(f"specific_surface.{name}", area / size, error / size, "1/m", f"{told}, {of}"))
    for one, other in combinations(range(len(volume.names)), 2):
        pair = f"{volume.names[one]}+{volume.names[other]}"
        area, error = float(found.between[one, other]), float(found.error[one, other])
        told = f"{what} of the surface between both phases"
        numbers.append(_number(f"interface_area.{pair}", area, error, unit, told))
        numbers.append(_number(f"specific_interface.{pair}", area / size, error / size, "1/m", f"the same, {of}"))
    if len(volume.names) > 2:
        told = "number of points" if flat else "length of the lines"
        told += " where three phases meet"
        length, density = ("1", "1/m^2") if flat else ("m", "1/m^2")
        entries = {"": lines.length} | {f".{subject.names(three)}": part for three, part in lines.of_three.items()}
        for name, value in entries.items():
            numbers.append(Number(f"triple_line{name}", value, length, told))
            numbers.append(Number(f"specific_triple_line{name}", value / size, density, f"{told}, {of}"))
    return Finding(numbers)


def _number(name: str, value: float, error: float, unit: str, told: str) -> Number:
    """An area, whose error is what the voxels leave open until the scatter of parts is added to it."""
    return Number(name, value, unit, told, error=error, resolution=error)
