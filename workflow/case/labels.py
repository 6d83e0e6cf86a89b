"""Which labels of the image each phase claims, as the case file says it."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from microlith.imaging.formats.colours import colour_text
from microlith.imaging.options import Colour, PhaseLabels, range_text
from microlith.workflow.schema.kinds import Place
from microlith.workflow.schema.physics_keys import MOST_PHASES

SHORTEST_RUN = 4  # labels that follow each other, from which on a table shows them as a range


def phase_labels(raw: dict[str, Any], at: Place) -> tuple[PhaseLabels, ...]:
    """Labels of each phase; [r, g, b] stays three numbers only where nothing says whether it is a colour.

    Args:
        raw: The tables of the phases, parsed.
        at: Where in which file.

    Raises:
        InputError: There are too many phases, a label belongs to two, or numbers and colours are mixed.
    """
    section = at.child("phases", section=True)
    if len(raw) > MOST_PHASES:
        raise section.error(f"expected at most {MOST_PHASES} phases, got {len(raw)}")
    phases = [_labels(name, phase["label"]) for name, phase in raw.items()]
    _refuse_mixed(phases, section)
    colours = any(isinstance(label, tuple) for phase in phases for label in phase.labels)
    numbers = any(_only_numbers(phase) for phase in phases)
    if colours or (not numbers and _repeated(phases)):
        phases = [PhaseLabels(p.name, p.for_colour_image(), p.ranges, p.rest) for p in phases]
    _refuse_repeated(phases, section)
    _refuse_overlaps(phases, section)
    rest = [phase.name for phase in phases if phase.rest]
    if len(rest) > 1:
        raise _place(section, rest[1]).error(f'"rest" is claimed by "{rest[0]}" already; one phase takes the rest')
    return tuple(phases)


def label_text(label: int | Colour) -> int | str:
    """A label as data and tables show it."""
    return label if isinstance(label, int) else "#{:02x}{:02x}{:02x}".format(*label)


def label_texts(phase: PhaseLabels) -> list[int | str]:
    """All that a phase claims, as data and tables show it."""
    ranges: list[int | str] = [range_text(ends) for ends in phase.ranges]
    return [*map(label_text, phase.labels), *ranges, *(["rest"] if phase.rest else [])]


def in_ranges(phase: PhaseLabels) -> PhaseLabels:
    """The same labels, with those that follow each other as ranges."""
    numbers = [label for label in phase.labels if isinstance(label, int)]
    rest: list[int | Colour] = [label for label in phase.labels if not isinstance(label, int)]
    ranges: list[tuple[int, int]] = list(phase.ranges)
    run: list[int] = []
    for number in [*sorted(numbers), None]:
        if run and number != run[-1] + 1:
            if len(run) < SHORTEST_RUN:
                rest += run
            else:
                ranges.append((run[0], run[-1]))
            run = []
        if number is not None:
            run.append(number)
    return PhaseLabels(phase.name, tuple(rest), tuple(ranges), phase.rest)


def _labels(name: str, value: Any) -> PhaseLabels:
    entries = value if isinstance(value, tuple) else (value,)
    tables = [entry for entry in entries if isinstance(entry, dict)]
    return PhaseLabels(
        name,
        tuple(e["rgb"] if isinstance(e, dict) else e for e in entries if not isinstance(e, dict) or "rgb" in e),
        tuple(entry["range"] for entry in tables if "range" in entry),
        any("rest" in entry for entry in tables),
    )


def _place(section: Place, phase: str) -> Place:
    return section.child(phase, section=True).child("label")


def _only_numbers(phase: PhaseLabels) -> bool:
    """Whether the labels can't be a colour, or say nothing."""
    numbers = bool(phase.labels) and all(isinstance(label, int) for label in phase.labels)
    return bool(phase.ranges) or (numbers and phase.for_colour_image() == phase.labels)


def _refuse_mixed(phases: Sequence[PhaseLabels], section: Place) -> None:
    coloured = [p.name for p in phases if any(isinstance(label, tuple) for label in p.labels)]
    for phase in phases:
        if phase.name in coloured and (phase.ranges or any(isinstance(label, int) for label in phase.labels)):
            raise _place(section, phase.name).error(
                "expected either pixel values or colours, got both; keep one of them"
            )
    numbers = [phase.name for phase in phases if _only_numbers(phase)]
    if numbers and coloured:
        raise _place(section, coloured[0]).error(
            f'this is a colour while the label of "{numbers[0]}" is a pixel value; write all in one way'
        )


def _repeated(phases: Sequence[PhaseLabels]) -> list[int | Colour]:
    counts = Counter(label for phase in phases for label in phase.labels)
    return [label for label, count in counts.items() if count > 1]


def _refuse_repeated(phases: Sequence[PhaseLabels], section: Place) -> None:
    repeated = _repeated(phases)
    if repeated:
        label = repeated[0]
        claims = [phase.name for phase in phases for other in phase.labels if other == label]
        text = f"the colour {colour_text(label)}" if isinstance(label, tuple) else f"label {label}"
        if claims[0] == claims[1]:
            raise _place(section, claims[1]).error(f"{text} is listed twice; remove one")
        raise _place(section, claims[1]).error(f'{text} is claimed by "{claims[0]}" already; each belongs to one phase')


def _refuse_overlaps(phases: Sequence[PhaseLabels], section: Place) -> None:
    """Refuse ranges that share labels with others."""
    for phase in phases:
        for first, last in phase.ranges:
            if first > last:
                text = range_text((first, last))
                raise _place(section, phase.name).error(f'expected a range such as "100-180", got "{text}"')
    ranges = [(first, last, phase.name) for phase in phases for first, last in phase.ranges]
    single = [(label, label, phase.name) for phase in phases for label in phase.labels if isinstance(label, int)]
    if ranges:
        for (_, end, one), (start, _, other) in pairwise(sorted(ranges + single)):
            if start <= end:
                whose = "twice" if one == other else f'by "{one}" already'
                raise _place(section, other).error(f"label {start} is claimed {whose}; each belongs to one phase")
