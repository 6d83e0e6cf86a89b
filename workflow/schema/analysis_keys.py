"""The table of the case file about what `microlith analyze` measures."""

from microlith.workflow.schema.kinds import Choice, ListOf
from microlith.workflow.schema.shared_keys import phase_name
from microlith.workflow.schema.tables import Key, Table

MEASUREMENTS = ("volume_fractions", "surfaces")  # in the order in which they are made

ANALYSIS = Table(
    "the table [analysis]",
    (
        Key(
            "measure",
            ListOf(Choice(MEASUREMENTS), "measurements", 1),
            f"What is measured: {', '.join(MEASUREMENTS)}; if left out all of them.",
        ),
        Key(
            "pores",
            ListOf(phase_name, "names of phases", 1),
            "Phases that count as pores; if left out the sources.",
        ),
        Key(
            "particles",
            ListOf(phase_name, "names of phases", 1),
            "Phases that count as particles; if left out the barriers and sinks.",
        ),
    ),
    doc="What `microlith analyze` measures.",
    section=True,
)
