"""Numbers of several states beside each other, and which of their differences exceed their error bars."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from microlith.imaging.errors import InputError
from microlith.workflow.comparison.sources import State
from microlith.workflow.measurements.findings import Number


@dataclass(frozen=True)
class Change:
    """Of a number, from the reference to another state."""

    difference: float  # in the unit of the number
    relative: float | None  # of the reference's value; None where that is 0
    exceeds: bool | None  # more than both errors together; None: an error or a value is not known


@dataclass(frozen=True)
class Row:
    """One number in all states."""

    name: str
    unit: str
    definition: str
    numbers: tuple[Number | None, ...]  # None: the state has no such number
    changes: tuple[Change | None, ...]  # against the reference; None for itself and where either has none


@dataclass(frozen=True, eq=False)
class Comparison:
    """States beside each other."""

    states: tuple[State, ...]
    reference: int  # index
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def compared(states: Sequence[State], reference: str | None = None) -> Comparison:
    """Put states beside each other.

    Args:
        states: Two or more, of different names.
        reference: Name of the one that others are compared to; None: the first.

    Raises:
        InputError: There are fewer than two states, two of one name, no reference of that name, nothing that others
            have in common with it, or a number in different units.
    """
    names = [state.name for state in states]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice}: two states have this name; give them names, as in pristine={twice}")
    check_states(names, reference)
    _refuse_dimensions(states)
    base = 0 if reference is None else names.index(reference)
    keys = list(dict.fromkeys(key for state in states for key in state.numbers))
    rows = tuple(_row(key, states, base) for key in keys)
    if not any(change is not None for row in rows for change in row.changes):
        raise InputError("these results have no number in common with the reference; name results of the same commands")
    return Comparison(tuple(states), base, rows, tuple(_notes(states)))


def check_states(names: Sequence[str], reference: str | None = None) -> None:
    """Refuse what can't be compared, whatever the results are.

    Args:
        names: Of the states of all results; a state may have several results.
        reference: Name of the one that others are compared to; None: the first.

    Raises:
        InputError: There are fewer than two states, or no reference of that name.
    """
    if len(names) > 1 and len(set(names)) == 1:
        raise InputError(
            f"a comparison takes the results of two states or more, and these are all of one, {names[0]}; give them "
            "names, as in pristine=RESULTS aged=RESULTS"
        )
    if len(names) < 2:
        raise InputError("a comparison takes the results of two states or more; name them one after the other")
    if reference is not None and reference not in names:
        choices = ", ".join(dict.fromkeys(names))
        raise InputError(f"--reference {reference}: there is no such state; choose one of {choices}")


def _refuse_dimensions(states: Sequence[State]) -> None:
    known = [state for state in states if state.voxel_size is not None]
    for state in known:
        one, other = (len(of.voxel_size or ()) for of in (known[0], state))
        if one != other:
            raise InputError(
                f"{_named(known[0])} is of a {one}D image and {_named(state)} of a {other}D one, whose lengths, areas "
                "and volumes can't be compared; name results of images of one dimension"
            )


def _named(state: State) -> str:
    return state.name if state.source in ("", state.name) else f"{state.name} ({state.source})"


def _row(key: str, states: Sequence[State], base: int) -> Row:
    numbers = tuple(state.numbers.get(key) for state in states)
    known = [number for number in numbers if number is not None]
    of_unit: dict[str, State] = {}  # the first state that has it
    for number, state in zip(numbers, states, strict=True):
        if number is not None:
            of_unit.setdefault(number.unit, state)
    if len(of_unit) > 1:
        (one, its), (other, others), *_ = of_unit.items()
        raise InputError(
            f"{key}: its unit is {one} in {_named(its)} and {other} in {_named(others)}; compare results of images of "
            "one dimension"
        )
    first = numbers[base]
    changes = tuple(
        None if i == base or first is None or number is None else _change(first, number)
        for i, number in enumerate(numbers)
    )
    return Row(key, known[0].unit, known[0].definition, numbers, changes)


def _change(first: Number, other: Number) -> Change:
    difference = other.value - first.value
    relative = difference / abs(first.value) if first.value and math.isfinite(difference) else None
    low, high = sorted((first, other), key=lambda number: number.value)
    if low.bounds is None or high.bounds is None or not math.isfinite(difference):
        return Change(difference, relative, None)
    above, below = low.bounds[1] - low.value, high.value - high.bounds[0]  # the errors that lie between the two
    return Change(difference, relative, abs(difference) > above + below)


def _notes(states: Sequence[State]) -> list[str]:
    """What makes numbers hard to compare."""
    return [*_notes_on_sources(states), *_notes_on_voxels(states), *_notes_on_kinds(states)]


def _notes_on_sources(states: Sequence[State]) -> list[str]:
    """States that are one and the same, of a slip in a name."""
    of_source: dict[str, list[State]] = {}
    for state in states:
        of_source.setdefault(state.same_as, []).append(state)
    return [
        f"{', '.join(state.name for state in alike)}: these are the same results ({alike[0].source}), so that nothing "
        "differs between them"
        for source, alike in of_source.items()
        if source and len(alike) > 1
    ]


def _notes_on_voxels(states: Sequence[State]) -> list[str]:
    known = [state for state in states if state.voxel_size is not None]
    different = [state for state in known if state.voxel_size != known[0].voxel_size]
    if not different:
        return []
    sizes = "; ".join(
        f"{state.name} {' × '.join(f'{1e9 * edge:.4g}' for edge in reversed(state.voxel_size or ()))} nm"
        for state in known
    )
    return [f"voxel sizes differ ({sizes}): areas, connections and narrow gaps depend on them"]


def _notes_on_kinds(states: Sequence[State]) -> list[str]:
    """Effective diffusivities that were not found in the same way, a sentence for all axes of a phase."""
    names: dict[str, list[str]] = {}  # what is said of them -> such as "D_eff of pore along x"
    for name in dict.fromkeys(name for state in states for name in state.kinds):
        of_kind: dict[str, list[str]] = {}
        for state in states:
            if name in state.kinds:
                of_kind.setdefault(state.kinds[name], []).append(state.name)
        if len(of_kind) > 1:
            said = "; ".join(f"{', '.join(which)}: {kind}" for kind, which in of_kind.items())
            names.setdefault(said, []).append(name)
    return [
        f"{', '.join(which)}: not found in the same way, so that a difference may come from that ({said})"
        for said, which in names.items()
    ]
