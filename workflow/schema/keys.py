"""The keys of the case file: what parser, JSON Schema, messages about unknown keys, and reference are all made from."""

from dataclasses import replace

from microlith.imaging.axes import FACES
from microlith.workflow.schema.analysis_keys import ANALYSIS
from microlith.workflow.schema.kinds import UNBOUNDED, Choice, Either, Flag, ListOf, Number, Quantity, Text
from microlith.workflow.schema.physics_keys import (
    ACROSS,
    FACE,
    INTERFACE,
    PHASE,
)
from microlith.workflow.schema.picture_keys import PICTURES
from microlith.workflow.schema.shared_keys import coordinate, label, length, per_axis
from microlith.workflow.schema.sweep_keys import SWEEP
from microlith.workflow.schema.tables import Key, Named, Several, Table
from microlith.workflow.schema.units import TIME

MOST_VOXELS = 10**9  # along an axis
MOST_CORNERS = 2000  # of a polygon, which is measured in proportion to them

IMAGE = Table(
    "the table [image]",
    (
        Key(
            "file",
            Text('the name of an image file, such as "electrode.tif"'),
            "Segmented image, relative to the case file: a TIFF, PNG, BMP, NPY, NRRD, MHA, VTI or raw file, a folder "
            'or glob of slices, or an HDF5 dataset as "file.h5:/path". Characters of the case file\'s own folder have '
            "no meaning; a pattern looks through 100,000 files and folders at most.",
            required=True,
        ),
        Key(
            "voxel_size",
            Either((length, per_axis(length, 'a table such as { x = "20 nm", y = "20 nm" }', ("x", "y")))),
            "Edge length of a pixel or voxel, one for all axes or one for each; may be left out where the image file "
            "states it with a unit. What the case says counts, with a warning where the file says something else.",
        ),
        Key(
            "crop",
            per_axis(
                ListOf(Number(0, MOST_VOXELS, whole=True), "voxel numbers", 2, 2),
                "a table such as { x = [0, 400] }",
                at_least=1,
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
                        ListOf(Number(1, MOST_VOXELS, whole=True), "whole numbers", 2, 3),
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
                    Key("offset", Number(0, UNBOUNDED, whole=True), "Bytes before the first voxel.", default=0),
                ),
            ),
            "Layout of a headerless file; its shape is in the order of slices, rows, columns.",
        ),
    ),
    doc="The segmented image.",
    section=True,
)

MESH = Table(
    "the table [mesh]",
    (
        Key(
            "file",
            Text('the name of a mesh file, such as "mesh.vtkhdf"'),
            "Mesh that is taken instead of making one, relative to the case file: what `microlith mesh CASE -o "
            "mesh.vtkhdf` wrote for the same image and phases. Keys about elements that are given have to be those "
            "that it was made with.",
        ),
        Key(
            "unit",
            length,
            'Unit of the coordinates in `file`, such as "1 um": for meshes of other programs (.msh, .xdmf, .vtu, .med, '
            ".inp), with triangles or tetrahedra that fill a rectangle or cuboid. [image] is left out then, and "
            "`label` of a phase is the tag of its cells, or left out where a group has the phase's name.",
            beside="file",
        ),
        Key(
            "method",
            Choice(("auto", "fitted", "lattice", "voxel")),
            "fitted: smooth triangles by gmsh, 2D; lattice: refined lattice fitted to the surfaces; voxel: one block "
            "per voxel; auto: picked by dimension.",
            default="auto",
        ),
        Key(
            "size",
            Named(length, "phases", 'a table such as { particle = "25 nm" }', at_least=1, example="PHASE"),
            "Element size at the surfaces of phases; smaller where a gap between them is narrow.",
        ),
        Key(
            "size_in",
            Named(length, "regions", 'a table such as { tip = "10 nm" }', at_least=1, example="REGION"),
            "Element size within regions of [regions] that are a box, disk or sphere; it grows from there by `growth`. "
            "For regions whose error is told to be large: beside a source, say. Not for voxels.",
        ),
        Key("size_max", length, "Largest element size."),
        Key(
            "growth",
            Number(1e-3, 2),
            "Increase of element size per distance from a surface named in size, and from the regions in size_in.",
            default=0.25,
        ),
        Key(
            "gap_elements",
            Number(1, 20, whole=True),
            "Elements wanted across gaps between surfaces named in size.",
            default=3,
        ),
        Key("junction_size", length, "Element size where three phases meet."),
        Key(
            "size_factor",
            Number(0.1, 10),
            "Factor on all element sizes: those given here, the defaults, and those that gaps ask for. In 3D thin "
            "parts keep their elements, but above 1 cells are not made smaller around voxels that come out in "
            "another phase. Not for voxels.",
            default=1,
        ),
        Key(
            "degree",
            Number(1, 3, whole=True),
            "Degree of the Lagrange elements; 2 in 2D and 1 in 3D if left out. "
            "In 3D, 2 errs by a quarter to a tenth of 1, for three to five times the time.",
        ),
        Key(
            "estimate",
            Flag(),
            "Whether a run estimates its error in space. On triangles and tetrahedra of degree 1 recovered gradients "
            "tell it, unless transfer coefficients change in steps. Otherwise the "
            "case is solved once more: on a coarser mesh; on voxels with elements of one degree less, or with "
            "finite differences.",
            default=True,
        ),
        Key(
            "correct",
            Flag(),
            "Whether most of what recovered gradients say that the curves of the regions lack is added to them, and "
            "the smaller error that is left told. It is for linear problems on triangles and tetrahedra of degree 1; "
            "fields, pictures, fluxes, profiles, particles and means over surfaces stay those of the elements.",
            default=False,
        ),
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
            "Times of the curves, increasing; if left out 200 from `first` to end, log-spaced, the snapshots, and some "
            "in each stretch between kinks of courses.",
        ),
        Key(
            "first",
            Quantity(TIME),
            "First of the times of the curves that are log-spaced. If left out end/1e5; in 3D, if that is later, when "
            "lithium has come a quarter of an element far, but no later than end/1000.",
            instead="times",
        ),
    ),
    doc="Times of the run.",
    section=True,
)

RUN = Table(
    "the table [run]",
    (
        Key(
            "checkpoint",
            Quantity(TIME),
            "Time between checkpoints, from which `microlith run CASE --resume` goes on; if left out one is written "
            "only where SIGTERM or SIGUSR1 asks the run to end.",
        ),
    ),
    doc="How a run goes about it.",
    section=True,
)

SOLVER = Table(
    "the table [solver]",
    (
        Key(
            "linear",
            Choice(("auto", "mumps", "cg")),
            "mumps: direct; cg: conjugate gradients with algebraic multigrid; auto: picked by dimension and size, and "
            "in 2D on one rank the factors of linear problems are CHOLMOD's, if PETSc has it.",
            default="auto",
        ),
        Key(
            "max_solves",
            Number(1, 100_000, whole=True),
            "Linear solves at which the time integration of a linear problem gives up: for the start and for each "
            "course that changes, in each stretch of time with mass-transfer coefficients of its own; at least 8 per "
            "segment.",
            default=200,
        ),
        Key(
            "max_steps",
            Number(1, 10**9, whole=True),
            "Steps, repeated ones included, at which the integration step by step gives up, which nonlinear problems "
            "need.",
            default=20_000,
        ),
        Key(
            "inner_tolerance",
            Number(1e-15, 0.5),
            "Relative residual at which cg stops; if left out, so small that the curves don't depend on the ranks.",
        ),
    ),
    doc="Choices of the linear algebra; rarely needed.",
    section=True,
)


def _ball(coordinates: int, example: str) -> Table:
    other = "a sphere, which is for 3D images" if coordinates == 2 else "a disk, which is for 2D images"
    center = ListOf(coordinate, "coordinates", coordinates, coordinates, f"; {5 - coordinates} belong to {other}")
    return Table(
        example,
        (
            Key("center", center, f"Centre, {coordinates} coordinates from x on.", required=True),
            Key("radius", length, "Radius.", required=True),
        ),
    )


REGION_KINDS = ("box", "shell", "disk", "sphere", "polygon", "phase", "labels", "surface")

REGION = Table(
    "a table such as [regions.I]",
    (
        Key(
            "box",
            per_axis(
                ListOf(coordinate, "coordinates", 2, 2),
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
                    Key("distance", length, "Largest distance from its surface.", required=True),
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
            ListOf(ListOf(coordinate, "coordinates", 2, 2), "corners [x, y]", 3, MOST_CORNERS),
            "Polygon without crossing edges, in 2D, as a list of its corners; each takes time. Finer outlines are "
            "drawn in an image of labels.",
        ),
        Key("phase", Text('the name of a phase, such as "sei_cb"'), "All of one transport phase."),
        Key(
            "labels",
            Text('the name of an image file, such as "regions.tif"'),
            "Second image of the same shape as the first, each label of which is a region.",
        ),
        Key(
            "label",
            label,
            "The one label wanted of that image; if left out each label but 0 becomes a region, NAME_LABEL.",
            beside="labels",
        ),
        Key(
            "surface",
            Text('the name of a phase, such as "particle"'),
            "The surface that this phase turns to the other transport phases: its mean concentration, and each of its "
            "particles (connected pieces) in particles.csv.",
        ),
        Key(
            "threshold",
            Number(above=0, below=1),
            "Share of the largest concentration that drives the case above which a part of the surface counts as "
            "active; 0.5 if left out.",
            beside="surface",
        ),
        Key(
            "in_phase",
            Text('the name of a phase, such as "sei_cb"'),
            "Transport phase that the region is limited to; if left out all of them count. Not for phase and surface.",
        ),
    ),
    doc="A region whose mean concentration is wanted; exactly one of the kinds.",
    section=True,
    one_of=REGION_KINDS,
)

CASE = Table(
    "a case file",
    (
        Key("title", Text("a text"), "Title of the case; if left out its file's name."),
        Key("image", IMAGE, "The segmented image; left out beside a mesh of another program.", required=True),
        Key(
            "phases",
            Named(PHASE, "phases", "a table [phases.NAME] for each phase", at_least=1, section=True, example="NAME"),
            "The phases of the image, by name.",
            required=True,
        ),
        Key("mesh", MESH, "The mesh.", default={}),
        Key(
            "initial",
            Table(
                'a table such as { from = "results/x", time = "100 s" }',
                (
                    Key(
                        "from",
                        Text('the folder of a result, such as "results/x"'),
                        "Folder of the result, relative to the case file or to where the command runs.",
                        required=True,
                    ),
                    Key(
                        "time",
                        Quantity(TIME, sign="not negative"),
                        "Of one of its snapshots; the last if left out.",
                    ),
                ),
            ),
            "Concentration at the start: a snapshot of an earlier result of the same image, on any mesh; if left out "
            "each phase starts with its own `initial`.",
        ),
        Key("time", TIME_TABLE, "Times of the run.", required=True),
        Key(
            "regions",
            Named(REGION, "regions", "a table [regions.NAME] for each region", section=True, example="NAME"),
            "Regions whose mean concentrations are the result, by name; if left out each transport phase is one.",
            default={},
        ),
        Key(
            "faces",
            Named(FACE, "faces", "a table [faces.x_min], say", FACES, ACROSS, section=True, example="FACE"),
            f"Conditions on outer faces of the image: {', '.join(FACES)}; or what is beyond both faces across an axis.",
            default={},
        ),
        Key("solver", SOLVER, "Choices of the linear algebra.", default={}),
        Key("run", RUN, "How a run goes about it.", default={}),
        Key("pictures", PICTURES, "How pictures look.", default={}),
        Key("analysis", ANALYSIS, "What `microlith analyze` measures.", default={}),
        Key("sweep", SWEEP, "The cases that `microlith sweep` makes of this one."),
        Key(
            "interfaces",
            Several(INTERFACE, "tables [[interfaces]], one for each pair of phases"),
            "What happens between pairs of transport phases; where none is given c and its flux are continuous.",
            default=[],
        ),
    ),
)

# The same for what needs no run, such as the effective diffusivity.
STEADY_CASE = replace(CASE, keys=tuple(replace(key, required=key.required and key.name != "time") for key in CASE.keys))
