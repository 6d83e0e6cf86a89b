"""The keys of the case file: what parser, JSON Schema, messages about unknown keys, and reference are all made from."""

from dataclasses import replace
from typing import Any

from microlith.workflow.kinds import Choice, Either, Key, Kind, Later, ListOf, Named, Number, Quantity, Table, Text
from microlith.workflow.units import CONCENTRATION, DIFFUSIVITY, LENGTH, TIME, VELOCITY

FACES = ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")
_AXES = ("x", "y", "z")

_length = Quantity(LENGTH)
_coordinate = Quantity(LENGTH, "1.5 um", "any")
_concentration = Quantity(CONCENTRATION, sign="not negative")


def _hex_colour(text: str) -> dict[str, tuple[int, ...]]:
    """As `_rgb` parses to, so that a list of numbers can't be mistaken for it."""
    return {"rgb": tuple(bytes.fromhex(text[1:]))}


def _per_axis(kind: Kind, words: str, required: tuple[str, ...] = (), at_least: int = 0) -> Table:
    keys = tuple(Key(axis, kind, f"Along {axis}.", required=axis in required) for axis in _AXES)
    return Table(words, keys, at_least=at_least)


_label = Number(whole=True)
_hex = Text('a colour such as "#ff8800"', r"^#[0-9A-Fa-f]{6}$", _hex_colour)
_rgb = Table(
    "a colour such as { rgb = [255, 136, 0] }",
    (Key("rgb", ListOf(Number(0, 255, whole=True), "numbers", 3, 3), "Red, green and blue, 0 to 255.", required=True),),
)

IMAGE = Table(
    "the table [image]",
    (
        Key(
            "file",
            Text('the name of an image file, such as "electrode.tif"'),
            "Segmented image, relative to the case file: a TIFF, PNG, BMP, NPY, NRRD, MHA, VTI or raw file, a folder "
            'or glob of slices, or an HDF5 dataset as "file.h5:/path".',
            required=True,
        ),
        Key(
            "voxel_size",
            Either((_length, _per_axis(_length, 'a table such as { x = "20 nm", y = "20 nm" }', ("x", "y")))),
            "Edge length of a pixel or voxel, one for all axes or one for each; may be left out where the image file "
            "holds it.",
        ),
        Key(
            "crop",
            _per_axis(
                ListOf(Number(0, whole=True), "voxel numbers", 2, 2), "a table such as { x = [0, 400] }", at_least=1
            ),
            "Part of the image to use, as [first, last + 1] in voxels along each axis.",
        ),
        Key(
            "coarsen",
            Number(1, 1024, whole=True),
            "Edge, in voxels, of the blocks that a majority vote turns into one voxel.",
            default=1,
        ),
        Key(
            "raw",
            Table(
                'a table such as { shape = [640, 400], dtype = "uint8" }',
                (
                    Key(
                        "shape",
                        ListOf(Number(1, whole=True), "whole numbers", 2, 3),
                        "Numbers of voxels in array order, [y, x] or [z, y, x].",
                        required=True,
                    ),
                    Key(
                        "dtype",
                        Text(
                            'an integer type such as "uint8" or "<u2"',
                            r"^([<>=|]?[ui][1248]|u?int(8|16|32|64)|bool)$",
                        ),
                        "NumPy's name of the integer type, with its byte order.",
                        required=True,
                    ),
                    Key("offset", Number(0, whole=True), "Bytes before the first voxel.", default=0),
                ),
            ),
            "Layout of a headerless file.",
        ),
    ),
    doc="The segmented image.",
    section=True,
)

EFFECTIVE = Either(
    (
        Choice(("none", "bruggeman", "maxwell")),
        Table(
            "a table such as { tortuosity = 2.1 } or { bruggeman = 1.8 }",
            (
                Key("tortuosity", Number(1), "Tortuosity factor tau: D_eff = D*porosity/tau."),
                Key("bruggeman", Number(above=0, high=20), "Exponent a: D_eff = D*porosity^a."),
                Key("model", Choice(("none", "bruggeman", "maxwell")), "Name of the model."),
                Key("exponent", Number(above=0, high=20), "Exponent of the model bruggeman.", beside="model"),
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
            Either((_label, _hex, _rgb, ListOf(Either((_label, _hex, _rgb)), "labels or colours", 1))),
            'Pixel value of the phase, or a list of them; for a colour-coded picture a colour, "#rrggbb" or '
            "{ rgb = [r, g, b] }, or a list of colours. [r, g, b] alone is one colour in a colour-coded picture and "
            "three labels in any other.",
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
            _concentration,
            "Concentration of the source.",
            only=("source",),
            needed_by=("source",),
        ),
        Key(
            "mass_transfer",
            Quantity(VELOCITY),
            "Mass-transfer coefficient k_f of the source's surface, -D_eff dc/dn = k_f (c - concentration); left out: "
            "the concentration is held on the surface.",
            only=("source",),
        ),
        Key("connected_to", Later(), "Not available yet.", only=("source",)),
        Key(
            "uptake",
            Quantity(VELOCITY, "1e-6 m/s"),
            "Rate constant k of the sink's surface, -D_eff dc/dn = k c.",
            only=("sink",),
            needed_by=("sink",),
        ),
        Key(
            "diffusivity",
            Quantity(DIFFUSIVITY),
            "Diffusivity D in the bulk, before porosity and tortuosity.",
            only=("transport",),
            needed_by=("transport",),
        ),
        Key(
            "porosity",
            Number(above=0, high=1),
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
        Key("initial", _concentration, "Concentration at the start.", default="0 mol/L", only=("transport",)),
    ),
    doc="A phase of the image and its part in the transport.",
    section=True,
    tag="role",
)

MESH = Table(
    "the table [mesh]",
    (
        Key(
            "method",
            Choice(("auto", "fitted", "lattice", "voxel")),
            "fitted: smooth triangles by gmsh, 2D; lattice: refined lattice fitted to the surfaces; voxel: one block "
            "per voxel; auto: picked by dimension.",
            default="auto",
        ),
        Key(
            "size",
            Named(_length, "phases", 'a table such as { particle = "25 nm" }', at_least=1, example="PHASE"),
            "Element size at the surfaces of phases; smaller where a gap between them is narrow.",
        ),
        Key("size_max", _length, "Largest element size."),
        Key(
            "growth",
            Number(above=0, high=2),
            "Increase of element size per distance from a surface named in size.",
            default=0.25,
        ),
        Key(
            "gap_elements",
            Number(1, 20, whole=True),
            "Elements wanted across gaps between surfaces named in size.",
            default=3,
        ),
        Key("junction_size", _length, "Element size where three phases meet."),
        Key("degree", Number(1, 3, whole=True), "Degree of the Lagrange elements; 2 in 2D and 1 in 3D if left out."),
    ),
    doc="The mesh.",
    section=True,
)

TIME_TABLE = Table(
    "the table [time]",
    (
        Key("end", Quantity(TIME), "Time of the end of the run; it starts at 0 s.", required=True),
        Key(
            "tolerance",
            Number(1e-10, 0.5),
            "Error allowed in the region curves, relative to the largest concentration that drives the problem.",
            default=1e-4,
        ),
        Key(
            "snapshots",
            ListOf(Quantity(TIME, sign="not negative"), "times"),
            "Times of the pictures and fields; if left out 0, end/50, end/10 and end.",
        ),
        Key(
            "times",
            ListOf(Quantity(TIME, sign="not negative"), "times", 1),
            "Times of the curves, increasing; if left out 200 from end/1e5 to end, log-spaced, and the snapshots.",
        ),
    ),
    doc="Times of the run.",
    section=True,
)

SOLVER = Table(
    "the table [solver]",
    (
        Key(
            "linear",
            Choice(("auto", "mumps", "cg")),
            "mumps: direct; cg: conjugate gradients with algebraic multigrid; auto: picked by dimension and size.",
            default="auto",
        ),
        Key(
            "max_solves",
            Number(1, 100_000, whole=True),
            "Linear solves at which the time integration gives up; it makes at least 8 per segment of time.",
            default=200,
        ),
        Key(
            "inner_tolerance",
            Number(above=0, high=0.5),
            "Relative residual at which cg stops; if left out, so small that the curves don't depend on the ranks.",
        ),
    ),
    doc="Choices of the linear algebra; rarely needed.",
    section=True,
)


def _ball(coordinates: int, example: str) -> Table:
    center = ListOf(_coordinate, "coordinates", coordinates, coordinates)
    return Table(
        example,
        (
            Key("center", center, f"Centre, {coordinates} coordinates from x on.", required=True),
            Key("radius", _length, "Radius.", required=True),
        ),
    )


REGION_KINDS = ("box", "shell", "disk", "sphere", "polygon", "phase", "labels")

REGION = Table(
    "a table such as [regions.I]",
    (
        Key(
            "box",
            _per_axis(
                ListOf(_coordinate, "coordinates", 2, 2),
                'a table such as { x = ["0.2 um", "0.6 um"], y = ["1 um", "1.4 um"] }',
                at_least=1,
            ),
            "Low and high coordinate along each axis; an axis left out is not bounded.",
        ),
        Key(
            "shell",
            Table(
                'a table such as { around = "particle", distance = "100 nm" }',
                (
                    Key("around", Text('the name of a phase, such as "particle"'), "Name of a phase.", required=True),
                    Key("distance", _length, "Largest distance from its surface.", required=True),
                ),
            ),
            "All within a distance of the surface of a phase.",
        ),
        Key("disk", _ball(2, 'a table such as { center = ["1 um", "2 um"], radius = "300 nm" }'), "Disk, in 2D."),
        Key(
            "sphere",
            _ball(3, 'a table such as { center = ["1 um", "2 um", "1 um"], radius = "300 nm" }'),
            "Sphere, in 3D.",
        ),
        Key(
            "polygon",
            ListOf(ListOf(_coordinate, "coordinates", 2, 2), "corners [x, y]", 3),
            "Polygon without crossing edges, in 2D, as a list of its corners.",
        ),
        Key("phase", Text('the name of a phase, such as "sei_cb"'), "All of one transport phase."),
        Key(
            "labels",
            Text('the name of an image file, such as "regions.tif"'),
            "Second image of the same shape as the first, each label of which is a region.",
        ),
        Key(
            "label",
            _label,
            "The one label wanted of that image; if left out each label but 0 becomes a region, NAME_LABEL.",
            beside="labels",
        ),
    ),
    doc="A region whose mean concentration is wanted; exactly one of the kinds.",
    section=True,
    one_of=REGION_KINDS,
)

FACE = Table(
    "a table such as [faces.x_min]",
    (
        Key("concentration", _concentration, "Concentration at the face.", required=True),
        Key(
            "mass_transfer",
            Quantity(VELOCITY),
            "Mass-transfer coefficient; left out: the concentration is held.",
        ),
    ),
    doc="An outer face of the image that feeds the transport phases; no flux through the others.",
    section=True,
)

CASE = Table(
    "a case file",
    (
        Key("title", Text("a text"), "Title of the case; if left out its file's name."),
        Key("image", IMAGE, "The segmented image.", required=True),
        Key(
            "phases",
            Named(PHASE, "phases", "a table [phases.NAME] for each phase", at_least=1, section=True, example="NAME"),
            "The phases of the image, by name.",
            required=True,
        ),
        Key("mesh", MESH, "The mesh.", default={}),
        Key("time", TIME_TABLE, "Times of the run.", required=True),
        Key(
            "regions",
            Named(REGION, "regions", "a table [regions.NAME] for each region", section=True, example="NAME"),
            "Regions whose mean concentrations are the result, by name; if left out each transport phase is one.",
            default={},
        ),
        Key(
            "faces",
            Named(FACE, "faces", "a table [faces.x_min], say", FACES, section=True, example="FACE"),
            f"Conditions on outer faces of the image: {', '.join(FACES)}.",
            default={},
        ),
        Key("solver", SOLVER, "Choices of the linear algebra.", default={}),
        Key("interfaces", Later(), "Not available yet."),
    ),
)

# The same for what needs no run, such as the effective diffusivity.
STEADY_CASE = replace(CASE, keys=tuple(replace(key, required=key.required and key.name != "time") for key in CASE.keys))


def json_schema() -> dict[str, Any]:
    """The case file as JSON Schema, draft 2020-12, for editors that know TOML."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "microlith case file",
        "description": "Lithium diffusion in a segmented image; every quantity is a text with its unit.",
    } | CASE.json()


def markdown_reference() -> str:
    """The keys of the case file as Markdown, a table of them for each table of the file."""
    top = [key for key in CASE.keys if not isinstance(key.kind, Table | Named)]
    parts = ["# Keys of the case file\n", *_rows("Top level", top)]
    for key in CASE.keys:
        if isinstance(key.kind, Table):
            parts += _rows(f"`[{key.name}]`: {_lower(key.doc)}", key.kind.keys)
        elif isinstance(key.kind, Named) and isinstance(key.kind.entry, Table):
            parts += _rows(f"`[{key.name}.{key.kind.example}]`: {_lower(key.kind.entry.doc)}", key.kind.entry.keys)
    return "\n".join(parts)


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:].rstrip(".")


def _rows(heading: str, keys: Any) -> list[str]:
    rows = [f"## {heading}\n", "| key | value | meaning |", "| --- | --- | --- |"]
    for key in keys:
        value = key.kind.expected()
        if key.required or key.needed_by:
            value += f"; required{' for ' + ' and '.join(key.needed_by) if key.needed_by else ''}"
        elif key.only:
            value += f"; for {' and '.join(key.only)}"
        if key.default is not None:
            value += f"; default `{key.default}`"
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in (f"`{key.name}`", value, key.doc)) + " |")
    return [*rows, ""]
