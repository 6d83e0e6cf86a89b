"""What a case says of its pictures."""

from collections.abc import Mapping
from typing import Any

from microlith.imaging.errors import InputError
from microlith.solver.physics.phases import Role
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.case.physics import check_transport
from microlith.workflow.schema.kinds import Place, nearest
from microlith.workflow.schema.units import length_text

NARROWEST, WIDEST = 0.06, 1.0  # m, of a picture


def picture_options(raw: dict[str, Any], roles: Mapping[str, Role], at: Place) -> PictureOptions:
    """The table [pictures], checked.

    Args:
        raw: As parsed.
        roles: Of the phases of the case, by name.
        at: Of the table.

    Raises:
        InputError: A width is out of bounds, a range is empty or of a phase that is not solved for, or there is no such
            colour map.
    """
    check_colours(raw["colours"], at.child("colours"))
    if "width" in raw:
        check_width(raw["width"], at.child("width"))
    for name, (low, high) in raw["range"].items():
        here = at.child(f"range.{name}")
        check_transport(name, roles, here)
        if low >= high:
            raise here.error(f"expected [low, high], got {low:g} and {high:g} mol/m^3; swap or change them")
    return PictureOptions(
        formats=tuple(dict.fromkeys(raw["formats"])),
        width=raw.get("width"),
        resolution=raw["resolution"],
        colours=raw["colours"],
        ranges=dict(raw["range"]),
    )


def check_width(width: float, at: Place) -> None:
    """Refuse pictures too narrow for their letters, or wider than any page.

    Raises:
        InputError: As said.
    """
    if not NARROWEST <= width <= WIDEST:
        raise at.error(f"expected 60 mm to 1 m, got {length_text(width)}")


def check_colours(name: str, at: Place) -> None:
    """Refuse a colour map that Matplotlib does not know.

    Raises:
        InputError: As said.
    """
    if name == PictureOptions.colours:
        return
    from matplotlib import colormaps

    if name not in colormaps:
        known = [known for known in colormaps if not known.endswith("_r")]
        raise InputError(f'{at}: there is no colour map "{name}" in Matplotlib; {nearest(name, known, "colour maps")}')
