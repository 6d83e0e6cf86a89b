"""The table of the case file about pictures."""

from microlith.workflow.schema.kinds import Choice, ListOf, Number, Quantity, Text
from microlith.workflow.schema.tables import Key, Named, Table
from microlith.workflow.schema.units import CONCENTRATION, LENGTH

FORMATS = ("png", "svg", "pdf")
COLOURS = Text('the name of a Matplotlib colour map, such as "viridis"', r"^\w+$")
RESOLUTION = Number(50, 1200, whole=True)

PICTURES = Table(
    "the table [pictures]",
    (
        Key(
            "formats",
            ListOf(Choice(FORMATS), "formats", 1),
            "Files of each picture. In svg and pdf lines and letters are drawn, while fields and renderings are pixels "
            "within them.",
            default=["png"],
        ),
        Key(
            "width",
            Quantity(LENGTH, "140 mm"),
            "Width of each picture with all around it, from 60 mm to 1 m; if left out as wide as its content asks for.",
        ),
        Key("resolution", RESOLUTION, "Pixels per inch.", default=300),
        Key(
            "colours",
            COLOURS,
            "Colour map of concentrations, by Matplotlib's name. The default is perceptually uniform and legible with "
            "any colour vision.",
            default="viridis",
        ),
        Key(
            "range",
            Named(
                ListOf(Quantity(CONCENTRATION, sign="any"), "concentrations", 2, 2),
                "phases",
                'a table such as { sei_cb = ["0 mol/L", "1 mol/L"] }',
                example="PHASE",
            ),
            "Concentrations at the two ends of the colour map, for transport phases; if left out they follow what "
            "drives the case and what the snapshots hold.",
            default={},
        ),
    ),
    doc="How pictures look; `microlith plot` draws them again with other choices, without solving.",
    section=True,
)
