"""The table of the case file about what `microlith analyze` measures."""

from microlith.imaging.axes import FACES
from microlith.workflow.schema.kinds import Choice, ListOf, Number, Text
from microlith.workflow.schema.shared_keys import phase_name
from microlith.workflow.schema.tables import Key, Named, Table

MEASUREMENTS = (
    "volume_fractions",
    "particles",
    "surfaces",
    "connectivity",
    "thickness",
    "chords",
    "correlation",
    "distances",
    "tortuosity",
    "representativeness",
)  # in the order in which they are made

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
        Key(
            "face",
            Choice(FACES),
            "Outer face that ways through the pores start from; if left out z_min, in 2D y_min.",
        ),
        Key(
            "reach",
            Named(Choice(FACES), "phases", 'a table such as { pore = "z_min", carbon = "z_max" }', example="PHASE"),
            "Phases, each with an outer face: for each particle it is told whether it meets what of the phase is "
            "connected to that face; if left out the pores with `face`.",
            default={},
        ),
        Key(
            "split",
            Number(above=0, high=1),
            "Cuts touching particles apart where the neck between them is narrower than this share of the narrower of "
            "both; if left out they are one.",
        ),
        Key(
            "particle_labels",
            Text('the name of an image file, such as "particles.tif"'),
            "Second image of the same shape as the first, each label of which but 0 is a particle.",
            instead="split",
        ),
        Key(
            "deff",
            ListOf(phase_name, "names of phases", 1),
            "Phases whose effective diffusivity is found along each axis, with its standard error where "
            "representativeness is measured; if left out of none, or with `--deff` of the pores and of the phases that "
            "transport.",
        ),
        Key(
            "deff_voxels",
            Number(low=1000, whole=True),
            "Voxels that the image has at most when the effective diffusivity is found; a larger one is coarsened "
            "until it has no more, by a majority vote in blocks.",
            default=1_000_000,
        ),
    ),
    doc="What `microlith analyze` measures.",
    section=True,
)
