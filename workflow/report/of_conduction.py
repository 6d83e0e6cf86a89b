"""The report of an effective diffusivity, from its JSON file."""

from pathlib import Path
from typing import Any

from microlith.workflow.report.page import Page, said
from microlith.workflow.report.sections import begun, made, warnings

# Keys of an axis -> what a reader sees
OF_AXIS = {
    "relative_effective_diffusivity": "D_eff / D_phase",
    "relative_effective_diffusivity_at_least": "D_eff / D_phase, at least",
    "relative_effective_diffusivity_half_a_voxel_smaller": "D_eff / D_phase, half a voxel smaller",
    "relative_effective_diffusivity_half_a_voxel_larger": "D_eff / D_phase, half a voxel larger",
    "effective_per_bulk_diffusivity": "D_eff / D_bulk",
    "effective_diffusivity_m2_per_s": "D_eff, m²/s",
    "tortuosity_factor": "tortuosity factor τ",
    "tortuosity": "tortuosity √τ",
    "macmullin_number": "MacMullin number",
    "connected_share": "share joined to both faces",
    "flux_disagreement": "disagreement of fluxes and energy",
    "iterations": "iterations",
}
DIGITS = 6


def conduction_page(_: Path, entries: dict[str, Any]) -> Page:
    """The report of an effective diffusivity, along axes or as a tensor.

    Args:
        entries: Of the file that `deff` writes.
    """
    page = begun(entries, f"Effective diffusivity of {entries['phase']}", "Effective diffusivity")
    warnings(page, entries.get("warnings", []))
    page.section("Along the axes")
    axes = entries["axes"]
    rows = [
        [text, *(said(axes[axis].get(key), DIGITS) for axis in axes)]
        for key, text in OF_AXIS.items()
        if any(axes[axis].get(key) is not None for axis in axes)
    ]
    page.table(["along", *axes], rows)
    if "relative_tensor" in entries:
        _tensor(page, entries, list(axes))
    page.section("What the figures mean")
    error = [["error", entries["no_error"]]] if entries.get("no_error") else []
    rows = [[str(key), str(text)] for key, text in entries["conventions"].items()]
    page.table(["figure", "definition"], [*error, *rows])
    _asked(page, entries)
    made(page, entries)
    return page


def _tensor(page: Page, entries: dict[str, Any], axes: list[str]) -> None:
    page.section("Tensor")
    page.table(
        ["D_eff / D_phase", *axes],
        [[axis, *(said(x, DIGITS) for x in row)] for axis, row in zip(axes, entries["relative_tensor"], strict=True)],
        "Of the image repeated along all its axes.",
    )
    rows = [
        [said(value, DIGITS), *(said(part, 4) for part in direction)]
        for value, direction in zip(entries["principal_values"], entries["principal_axes"], strict=True)
    ]
    page.table(["principal value", *(f"{axis} of its axis" for axis in axes)], rows)
    rows = [
        [axis, said(entries["unmatched_share"][axis], 3), said(entries["unmatched_share_inside"][axis], 3)]
        for axis in axes
    ]
    head = ["across", "share of the phase's area at the faces that has none opposite", "the same within the image"]
    page.table(head, rows)


def _asked(page: Page, entries: dict[str, Any]) -> None:
    page.section("What was asked")
    names = {
        "case": "case file",
        "image": "image",
        "phase": "phase",
        "volume_fraction": "volume fraction in the mesh",
        "phase_diffusivity_m2_per_s": "D_phase, m²/s",
        "bulk_diffusivity_m2_per_s": "D_bulk, m²/s",
        "effective_model": "from D_bulk to D_phase",
        "faces": "outer faces",
        "ranks": "ranks",
    }
    rows = [[text, said(entries[key], DIGITS)] for key, text in names.items() if key in entries]
    page.table(["key", "value"], [*rows, *([f"mesh: {key}", said(value)] for key, value in entries["mesh"].items())])
