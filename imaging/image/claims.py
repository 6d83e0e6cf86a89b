"""Which phase each value of an image belongs to, and every way in which values and phases can fail to fit."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, listed
from microlith.imaging.formats.colours import colour_text, pack, unpack
from microlith.imaging.options import Colour, PhaseLabels, range_text
from microlith.imaging.parallel.large_arrays import count_values
from microlith.imaging.readers.open import IMAGE_KEY

MOST_LABELS = 65_535  # distinct values of an image
FEW = 64  # distinct values up to which one that no phase claims is a slip, and not a sign of a micrograph

Values = dict[int, int]  # value of the image -> how many voxels have it, or which phase it belongs to


class Coding(Protocol):
    """What the values of an image are: see RawImage and StoredImage."""

    @property
    def colour(self) -> bool:
        """Whether they are 0xRRGGBB."""

    @property
    def palette(self) -> NDArray[np.uint8] | None:
        """Colours (n, 3) of the values."""


def phase_of_each(counts: Values | None, raw: Coding, phases: Sequence[PhaseLabels], path: str) -> Values:
    """Phase index of each value that occurs.

    In a picture with a palette of greys a number may be an index or a grey level; where both differ the one counts
    with which all labels fit.

    Args:
        counts: How often each value occurs, in ascending order; None where there are more than MOST_LABELS values.
        raw: What the values are.
        phases: Labels of each phase.
        path: Of the image, for messages.

    Raises:
        InputError: The image is a micrograph, values and phases don't fit, or index and grey level fit both, with
            different results.
    """
    if counts is None:
        raise InputError(
            f"{IMAGE_KEY}: {path} holds more than {MOST_LABELS:,} {_kinds(raw)}, as a micrograph does; segment it "
            "first, so that each pixel holds the label of its phase"
        )
    greys = _greys(raw.palette, counts)
    as_stored = _attempt(dict(zip(counts, counts, strict=True)), counts, raw, phases, path)
    if greys is None:
        return _result(as_stored)
    as_shown = _attempt(greys, counts, raw, phases, path)
    if isinstance(as_shown, InputError) or as_stored == as_shown:
        return _result(as_stored)
    if isinstance(as_stored, InputError):
        return as_shown
    index = next(value for value in counts if as_stored[value] != as_shown[value])
    raise InputError(
        f"{IMAGE_KEY}: {path} has a palette of greys whose numbers are not their grey levels ({_shown(index, raw)}), "
        f'and the labels fit both; write colours, such as label = "#{pack((greys[index],) * 3):06x}", or save it as '
        "plain grey"
    )


def refuse_other_greys(values: NDArray[Any], raw: Coding, where: str) -> None:
    """Refuse a picture with a palette of greys in which a number may be an index or a grey level.

    Args:
        values: That are used of it.
        raw: What they are.
        where: Head of the message: key and file.

    Raises:
        InputError: Both differ, in a picture of more than one bit.
    """
    if raw.palette is None or len(raw.palette) <= 2:  # of one bit: 0 and 1 are what it holds
        return
    counts = count_values(values, len(raw.palette)) or {}
    greys = _greys(raw.palette, counts)
    if greys is not None:
        index = next(value for value, grey in greys.items() if value != grey)
        raise InputError(
            f"{where} has a palette of greys whose numbers are not their grey levels ({_shown(index, raw)}); save it "
            "as plain grey"
        )


def shown_labels(counts: Values, raw: Coding) -> tuple[tuple[str, int], ...]:
    """Labels as messages name them, and how many voxels have each."""
    return tuple((_shown(value, raw), count) for value, count in counts.items())


def _result(attempt: Values | InputError) -> Values:
    if isinstance(attempt, InputError):
        raise attempt
    return attempt


def _greys(palette: NDArray[np.uint8] | None, counts: Values) -> Values | None:
    """Grey level of each value that occurs, None where that is no other number than the value."""
    if palette is None or any(value >= len(palette) for value in counts):
        return None
    greys = {}
    for value in counts:
        red, green, blue = palette[value].tolist()
        if not red == green == blue:
            return None
        greys[value] = red
    return greys if any(value != grey for value, grey in greys.items()) else None


def _attempt(
    numbers: Values, counts: Values, raw: Coding, phases: Sequence[PhaseLabels], path: str
) -> Values | InputError:
    try:
        return _owners(numbers, counts, raw, phases, path)
    except InputError as error:
        return error


def _owners(numbers: Values, counts: Values, raw: Coding, phases: Sequence[PhaseLabels], path: str) -> Values:
    """Phase of each value, where `numbers` says which number a label means by each."""
    claims = _Claims(numbers, counts, raw, path)
    owner: Values = {}
    for index, phase in enumerate(phases):
        for value in claims.of(phase):
            if owner.setdefault(value, index) != index:
                other = phases[owner[value]].name
                raise InputError(
                    f"[phases.{phase.name}] label: {_shown(value, raw)} is claimed by {other} too; each label "
                    "belongs to one phase"
                )
    for index, phase in enumerate(phases):
        if phase.rest:
            for value in counts:
                owner.setdefault(value, index)
    used = {owner[value] for value in counts if value in owner}
    idle = [phase.name for index, phase in enumerate(phases) if index not in used]
    _refuse_unclaimed([value for value in counts if value not in owner], counts, raw, path, idle)
    for index, phase in enumerate(phases):
        if index not in used:
            raise InputError(
                f"[phases.{phase.name}] label: no pixel of {path} has it, the labels there are "
                f"{listed(_shares(counts, counts, raw))}; correct the label or remove the phase"
            )
    return {value: owner[value] for value in counts}


def _refuse_unclaimed(unclaimed: list[int], counts: Values, raw: Coding, path: str, idle: list[str]) -> None:
    if not unclaimed:
        return
    if len(counts) > FEW:
        raise InputError(
            f"{IMAGE_KEY}: {path} holds {len(counts):,} {_kinds(raw)}, of which no phase claims {len(unclaimed):,}, as "
            "in a micrograph; segment it first, or, if these are labels, claim all of them, as in "
            'label = [1, "100-180"] or label = "rest"'
        )
    repair = "add each to the label of a phase"
    if idle:  # which is told with what they may have wanted
        repair = f"no pixel has the label of {listed(idle)}: correct {'it' if len(idle) == 1 else 'them'}, or {repair}"
    raise InputError(
        f"[phases]: no phase claims {listed(_shares(unclaimed, counts, raw))} of the pixels of {path}; {repair}, or "
        'give one phase label = "rest"'
    )


def _shares(values: Sequence[int] | Values, counts: Values, raw: Coding) -> list[str]:
    total = sum(counts.values())
    return [f"{_shown(value, raw)} ({100 * counts[value] / total:.3g} %)" for value in values]


def _kinds(raw: Coding) -> str:
    return "colours" if raw.colour else "values"


class _Claims:
    """The values that occur in an image, to be asked which of them a phase claims."""

    def __init__(self, numbers: Values, counts: Values, raw: Coding, path: str) -> None:
        self._raw, self._counts, self._path = raw, counts, path
        self._sorted = sorted((number, value) for value, number in numbers.items())
        self._numbers = [number for number, _ in self._sorted]

    def of(self, phase: PhaseLabels) -> list[int]:
        """Values that a phase claims by name, in ascending order of its labels."""
        labels = self._labels(phase)
        self._refuse_other_kind(phase, labels)
        found: list[int] = []
        for label in labels:
            found += self._coloured(label) if isinstance(label, tuple) else self._between(label, label)
        for first, last in phase.ranges:
            found += self._between(first, last)
        return found

    def _labels(self, phase: PhaseLabels) -> tuple[int | Colour, ...]:
        """Labels of a phase as numbers or colours, where a list of three numbers may be either."""
        if self._raw.colour:
            return phase.for_colour_image()
        palette = self._raw.palette
        if palette is not None:
            shown = {tuple(palette[value].tolist()) for value in self._counts if value < len(palette)}
            if shown.intersection(label for label in phase.for_colour_image() if isinstance(label, tuple)):
                return phase.for_colour_image()
        return phase.labels

    def _refuse_other_kind(self, phase: PhaseLabels, labels: tuple[int | Colour, ...]) -> None:
        where, raw = f"[phases.{phase.name}] label", self._raw
        numbers = [*(str(label) for label in labels if isinstance(label, int)), *map(range_text, phase.ranges)]
        colours = [label for label in labels if isinstance(label, tuple)]
        if raw.colour and numbers:
            raise InputError(
                f'{where}: expected a colour such as "#ff0000", as {self._path} is a colour picture, got {numbers[0]}; '
                f"its colours are {listed(_shown(value, raw) for value in self._counts)}"
            )
        if not raw.colour and raw.palette is None and colours:
            raise InputError(
                f"{where}: expected a number, as {self._path} holds no colours, got {colour_text(colours[0])}; its "
                f"labels are {listed(self._counts)}"
            )

    def _between(self, first: int, last: int) -> list[int]:
        low, high = bisect_left(self._numbers, first), bisect_right(self._numbers, last)
        return [value for _, value in self._sorted[low:high]]

    def _coloured(self, colour: Colour) -> list[int]:
        palette = self._raw.palette
        if palette is None:
            return [pack(colour)] if pack(colour) in self._counts else []
        indices = np.flatnonzero((palette == colour).all(axis=1))
        return [int(index) for index in indices if int(index) in self._counts]


def _shown(value: int, raw: Any) -> str:
    """A label as a message names it."""
    if raw.colour:
        return colour_text(unpack(value))
    if raw.palette is not None and value < len(raw.palette):
        red, green, blue = raw.palette[value].tolist()
        if not red == green == blue == value:
            return f"{value} = {colour_text((red, green, blue))}"
    return str(value)
