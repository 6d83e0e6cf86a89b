"""The keys of the case file that say what the phases, their interfaces and the outer faces do."""

from microlith.imaging.axes import AXES, FACES
from microlith.workflow.schema.kinds import AnyQuantity, Choice, Either, ListOf, Number, Quantity, Text
from microlith.workflow.schema.shared_keys import (
    concentration,
    label,
    label_text,
    length,
    over_time,
    per_axis,
    phase_name,
    rgb,
)
from microlith.workflow.schema.tables import ByKey, Key, Table
from microlith.workflow.schema.units import AREAL_AMOUNT, CURRENT_DENSITY, DIFFUSIVITY, FLUX, RATE, VELOCITY

MOST_PHASES = 255  # a phase index has to fit into eight bits with one to spare
LARGEST_CONTRAST = 1e15  # of effective diffusivities

UPTAKE = Table(
    'a table such as { rate = "1e-6 m/s", capacity = "1e-5 mol/m^2" }',
    (
        Key("rate", Quantity(VELOCITY, "1e-6 m/s"), "Rate constant k of the empty surface.", required=True),
        Key("capacity", Quantity(AREAL_AMOUNT), "Amount q_max per area at which the surface is full.", required=True),
    ),
    doc="A surface that fills up, flux k c (1 - q/q_max).",
)

DIFFUSIVITY_TABLE = Table(
    "a table such as { concentrations = [...], values = [...] }",
    (
        Key("concentrations", ListOf(concentration, "concentrations", 2), "Concentrations, increasing.", required=True),
        Key(
            "values",
            ListOf(Quantity(DIFFUSIVITY), "diffusivities", 2),
            "D at these concentrations; beyond the first and the last it stays as it is there.",
            required=True,
        ),
        Key(
            "interpolation",
            Choice(("linear", "log")),
            "Between the points D is linear in c, or its logarithm is.",
            default="linear",
        ),
    ),
    doc="D at some concentrations.",
)

DIFFUSIVITY_EXPRESSION = Table(
    'an expression such as { expression = "D0 * exp(-c / c0)", D0 = "1e-14 m^2/s", c0 = "1 mol/L" }',
    (
        Key(
            "expression",
            Text('a text such as "D0 * exp(-c / c0)"'),
            "D as a function of the concentration c: numbers, parameters, + - * / **, exp, log, sqrt, tanh, min and "
            "max. Units are checked. Every other key of the table is a parameter, a quantity with its unit or a "
            "number.",
            required=True,
        ),
    ),
    others=AnyQuantity(),
    doc="D as a formula.",
)

EFFECTIVE = Either(
    (
        Choice(("none", "bruggeman", "maxwell")),
        Table(
            "a table such as { tortuosity = 2.1 } or { bruggeman = 1.8 }",
            (
                Key("tortuosity", Number(1, 1e6), "Tortuosity factor tau: D_eff = D*porosity/tau."),
                Key("bruggeman", Number(1e-3, 20), "Exponent a: D_eff = D*porosity^a."),
                Key("model", Choice(("none", "bruggeman", "maxwell")), "Name of the model."),
                Key("exponent", Number(1e-3, 20), "Exponent of the model bruggeman.", beside="model"),
            ),
            one_of=("tortuosity", "bruggeman", "model"),
        ),
    )
)

PHASE = Table(
    "a table such as [phases.pore]",
    (
        Key(
            "label",
            Either((label, label_text, rgb, ListOf(Either((label, label_text, rgb)), "labels or colours", 1))),
            'Pixel value of the phase, or a list of values and ranges such as [5, "100-180"]; for a colour-coded '
            'picture a colour, "#rrggbb" or { rgb = [r, g, b] }, or a list of colours. [r, g, b] alone is one colour '
            'in a colour-coded picture and three labels in any other. "rest" claims all that no other phase does. An '
            "image may hold up to 65,535 labels. In a picture with a palette a number is an index; in a palette of "
            "greys it is the grey level where only that fits the labels, and colours say it where both do.",
            required=True,
        ),
        Key(
            "role",
            Choice(("source", "barrier", "sink", "transport")),
            "source: not meshed, its surface feeds its neighbours; barrier: not meshed, no flux; sink: not meshed, "
            "first-order uptake at its surface; transport: meshed and solved for.",
            required=True,
        ),
        Key(
            "concentration",
            over_time(concentration),
            "Concentration of the source.",
            only=("source",),
            needed_by=("source",),
        ),
        Key(
            "mass_transfer",
            over_time(Quantity(VELOCITY)),
            "Mass-transfer coefficient k_f of the source's surface, -D_eff dc/dn = k_f (c - concentration); left out: "
            "the concentration is held on the surface.",
            only=("source",),
        ),
        Key(
            "connected_to",
            Choice(FACES),
            "Outer face: only what is connected to it (by shared edges of pixels, faces of voxels, of this phase) "
            'is a source, the rest is a barrier, "NAME (not connected)" in the results; left out: all of it is.',
            only=("source",),
        ),
        Key(
            "uptake",
            Either((Quantity(VELOCITY, "1e-6 m/s"), UPTAKE)),
            "Rate constant k of the sink's surface, -D_eff dc/dn = k c; with a capacity k c (1 - q/q_max), q being "
            "what the surface has taken up.",
            only=("sink",),
            needed_by=("sink",),
        ),
        Key(
            "diffusivity",
            Either(
                (
                    Quantity(DIFFUSIVITY),
                    ByKey(
                        (("concentrations", DIFFUSIVITY_TABLE), ("expression", DIFFUSIVITY_EXPRESSION)),
                        per_axis(
                            Quantity(DIFFUSIVITY),
                            'a table such as { x = "1e-14 m^2/s", y = "5e-15 m^2/s" }',
                            required=("x", "y"),
                        ),
                    ),
                )
            ),
            "Diffusivity D in the bulk, before porosity and tortuosity: one, or one for each axis, or one that depends "
            "on the concentration c, by a table or an expression.",
            only=("transport",),
            needed_by=("transport",),
        ),
        Key(
            "porosity",
            Number(1e-6, 1),
            "Share of the phase that conducts; 1 where left out.",
            only=("transport",),
        ),
        Key(
            "effective",
            EFFECTIVE,
            "Effective-medium model: none (D_eff = D), bruggeman (D*porosity^1.5), maxwell (D*2*porosity/(3 - "
            "porosity)), { bruggeman = exponent } or { tortuosity = tau } (D*porosity/tau).",
            default="none",
            only=("transport",),
        ),
        Key("initial", concentration, "Concentration at the start.", default="0 mol/L", only=("transport",)),
        Key(
            "decay",
            Quantity(RATE, sign="not negative"),
            "Rate constant k of a loss of first order in the pores, porosity dc/dt = ... - porosity k c: left alone, "
            "the phase follows exp(-k t); 0 where left out.",
            only=("transport",),
        ),
    ),
    doc="A phase of the image and its part in the transport.",
    section=True,
    tag="role",
)


FACE = Table(
    "a table such as [faces.x_min]",
    (
        Key("concentration", over_time(concentration), "Concentration at the face."),
        Key(
            "mass_transfer",
            over_time(Quantity(VELOCITY)),
            "Mass-transfer coefficient k_f, -D_eff dc/dn = k_f (c - concentration); left out: the concentration is "
            "held.",
            beside="concentration",
        ),
        Key(
            "flux",
            over_time(Quantity(FLUX, sign="any")),
            "Flux into the domain, per area of the transport phases at the face.",
        ),
        Key(
            "current_density",
            over_time(Quantity(CURRENT_DENSITY, sign="any")),
            "Current per area of the whole face, spread evenly over the transport phases at it; positive where lithium "
            "enters. Faraday's law with z = 1 makes it a flux.",
        ),
        Key(
            "phases",
            ListOf(phase_name, "names of transport phases", 1),
            "Transport phases that the condition is for; if left out all at the face.",
        ),
    ),
    doc="An outer face of the image that feeds the transport phases; no flux through the others.",
    section=True,
    one_of=("concentration", "flux", "current_density"),
)

ACROSS = tuple(
    Key(
        axis,
        Choice(("periodic", "mirrored")),
        f"What is beyond {axis}_min and {axis}_max. periodic: the image comes again and again, what leaves through one "
        "face enters through the other; mirrored: the image and its mirror image by turns, so that nothing passes, as "
        "when left out.",
    )
    for axis in AXES
)

INTERFACE = Table(
    'a table [[interfaces]] with between = ["sei_cb", "particle"], say',
    (
        Key(
            "between",
            ListOf(phase_name, "names of transport phases", 2, 2),
            "The two phases, first and second.",
            required=True,
        ),
        Key(
            "partition",
            Number(1e-12, 1e12),
            "K: in equilibrium c of the second phase is K times c of the first; 1 if left out.",
        ),
        Key(
            "exchange",
            Quantity(VELOCITY, "1e-6 m/s"),
            "Exchange velocity k, flux = k (c_first - c_second/K); if left out the two are in equilibrium.",
            instead="film",
        ),
        Key(
            "film",
            Table(
                'a table such as { thickness = "10 nm", diffusivity = "1e-16 m^2/s" }',
                (
                    Key("thickness", length, "Thickness of the film.", required=True),
                    Key("diffusivity", Quantity(DIFFUSIVITY), "Diffusivity in the film.", required=True),
                ),
            ),
            "A film that the image does not resolve: exchange = diffusivity/thickness.",
        ),
    ),
    doc="What happens between two transport phases; at least one of partition, exchange and film.",
    any_of=("partition", "exchange", "film"),
)
