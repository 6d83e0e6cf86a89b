"""Time, memory and disk of a run, from the size of its meshes and the number of its solves."""

import math
from dataclasses import dataclass

from microlith.imaging.options import MeshMethod
from microlith.meshing.mesh.expected import ExpectedMesh
from microlith.meshing.methods import IN_PLACE
from microlith.solver.linear.solvers import choose_method
from microlith.solver.options import SolverOptions
from microlith.workflow.estimate import costs
from microlith.workflow.estimate.solves import Solves

BOXES = ("quadrilateral", "hexahedron")


@dataclass(frozen=True)
class Run:
    """What the costs of a run depend on."""

    dim: int
    voxels: float  # of the image
    sides: tuple[float, float]  # its two longest, the longest first, in voxels of the shortest edge
    faces: float  # of voxels, between two phases
    method: MeshMethod
    mesh: ExpectedMesh
    degree: int
    solves: Solves
    snapshots: int
    regions: int
    surfaces: bool  # whether some region is a surface
    shells: int  # regions that are shells
    solver: SolverOptions
    other: "Run | None"  # that the error in space is told from; its own `other` is one more of these
    remeshed: bool = True  # whether that has a mesh of its own
    read: bool = False  # whether its mesh is read, and not made,
    foreign: bool = False  # and another program's
    differences: bool = False  # whether it is one of finite differences on voxels, that an error is told from
    recovered: bool = False  # whether the error in space is told from gradients of the solution itself

    @property
    def unknowns(self) -> float:
        """Of its problem."""
        return self.mesh.unknowns(self.degree)

    @property
    def linear(self) -> str:
        """What solves its linear equations."""
        return choose_method(self.solver.linear, self.dim, round(self.unknowns))

    @property
    def drawn(self) -> bool:
        """Whether there is more to draw than curves."""
        return self.snapshots > 0 or self.surfaces

    @property
    def pixels(self) -> float:
        """About those of a picture."""
        return costs.PIXELS[self.dim] ** 2 * self.sides[1] / self.sides[0]

    @property
    def is_shared(self) -> bool:
        """Whether all ranks mesh."""
        return self.method in IN_PLACE


@dataclass(frozen=True)
class Work:
    """CPU seconds: what ranks share, and what the first does while the others wait."""

    shared: float
    alone: float


def work(run: Run) -> Work:
    """CPU seconds of a run."""
    dim, cells, unknowns = run.dim, run.mesh.solved, run.unknowns
    meshing = _meshing(run)
    base, pixel, each = costs.SNAPSHOT[dim]
    alone = (
        (costs.START[dim] if run.drawn else costs.START_PLAIN)
        + costs.REPORT[dim] * cells
        + (costs.REPORT_BOX * cells if run.mesh.shape == "hexahedron" else 0.0)
        + ((costs.REPORT_FACET if dim == 3 else 0.0) + costs.RESULTS_FACET[dim]) * run.mesh.facets
        + costs.RESULTS[dim]
        + run.snapshots * (base + pixel * run.pixels / costs.MEGA)
        + (costs.PARTICLES[dim] if run.surfaces else 0.0)
    )
    profiles, per_unknown = costs.PROFILES[dim]
    if run.mesh.shape in BOXES:
        per_unknown = costs.PROFILES_BOXES
    if run.mesh.shape == "hexahedron":
        profiles += costs.PROFILES_CUBE[run.degree] * cells
    if run.foreign:
        cell, voxel = costs.FOREIGN
        alone += cell * run.mesh.cells + voxel * run.voxels
    shared = _solving(run) + profiles + (per_unknown + run.snapshots * each) * unknowns
    shared += costs.IMAGE * run.voxels + (costs.SURFACES * cells if run.surfaces else 0.0)
    if run.recovered:
        stepped = costs.FOLLOWED[dim] * _solving(run)
        shared += stepped if run.solves.stepped else costs.RECOVERED * cells * run.solves.number
    compared = run
    while compared.other is not None:
        meshing += _meshing(compared.other) if compared.remeshed else 0.0
        compared = compared.other
        shared += _solving(compared)
    return Work(shared + meshing, alone) if run.is_shared else Work(shared, alone + meshing)


def _meshing(run: Run) -> float:
    """Image to distributed mesh."""
    kind, distributed = (run.method, run.dim), costs.DISTRIBUTE[run.mesh.shape] * run.mesh.cells
    if run.read:
        return distributed + costs.READ * run.mesh.cells
    each = costs.MESH[kind]
    if run.method == "fitted" and run.mesh.cells >= costs.MANY:
        each = costs.MESH_DIVIDED
    return distributed + each * run.mesh.cells + costs.MESH_VOXEL.get(kind, 0.0) * run.voxels


def _solving(run: Run) -> float:
    """Assembly, regions and integration."""
    kind = run.dim, run.degree
    if run.differences and not run.solves.stepped:
        return costs.DIFFERENCES[run.dim] * run.solves.number * run.unknowns
    assembly = costs.ASSEMBLE[kind] * run.mesh.solved
    if run.mesh.shape in BOXES:
        assembly *= costs.ASSEMBLE_TENSOR[kind]
    assembly += costs.SHELL[run.dim] * run.shells * run.mesh.solved
    number, unknowns = run.solves.number, run.unknowns
    if run.solves.stepped:
        base, each = costs.STEPPED[run.dim]
        return assembly + number * (base + each * unknowns) + run.solves.set_ups * costs.SET_UP[run.dim] * unknowns
    if run.linear == "cg":
        iterated = costs.ITERATED_CUBE[run.degree] if run.mesh.shape == "hexahedron" else costs.ITERATED
        return assembly + iterated * number * unknowns
    if run.dim == 3:
        return assembly + costs.FACTORED_3D * unknowns**costs.POWER_3D
    return assembly + costs.FACTORED * number * unknowns


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak: of every rank, of what the ranks share, and of what the first has besides."""

    each: float
    shared: float
    first: float

    def fullest(self, ranks: int) -> float:
        """Of the first rank, which has most."""
        return self.each + self.shared / ranks + self.first

    def total(self, ranks: int) -> float:
        """Of all ranks together."""
        return ranks * self.each + self.shared + self.first


def memory(run: Run, linear: str) -> Memory:
    """Peak memory of a run: of meshing, of solving, or of pictures and report; with that of the process that draws.

    Args:
        run: The run.
        linear: What solves linear equations, and on one rank may be another than on many.
    """
    solving, drawing = _solving_memory(run, linear), _drawing_memory(run)
    beside = 0.0
    if run.drawn and run.dim == 3:
        base, pixel = costs.RENDERER
        beside = base + pixel * run.pixels + costs.RENDERED * run.mesh.facets + costs.REPORTED
    if run.is_shared:
        shared = max(solving, costs.OF_LATTICE * run.mesh.cells)
        return Memory(costs.LIBRARIES, shared, beside + max(0.0, drawing - costs.LIBRARIES - shared))
    first = max(costs.OF_FITTED * run.mesh.cells, drawing - costs.LIBRARIES)
    return Memory(costs.LIBRARIES, solving, beside + max(0.0, first - solving))


def _solving_memory(run: Run, linear: str) -> float:
    """Of mesh, matrices, what solves equations, and what each solve leaves."""
    dim, unknowns = run.dim, run.unknowns
    each = costs.OF_UNKNOWN[dim, run.degree]
    if run.mesh.shape == "hexahedron":
        each *= costs.OF_UNKNOWN_TENSOR[run.degree]
    found = costs.OF_CELL[dim] * run.mesh.solved + each * unknowns
    if not run.solves.stepped:
        found += costs.OF_VECTOR * run.solves.number * unknowns
    if run.shells and dim == 3:
        found += costs.OF_SHELL * run.mesh.solved
    if run.recovered:
        found += costs.OF_RECOVERED * unknowns
    if linear == "cg":
        return found
    if dim == 2:
        return found + costs.FACTORS[linear] * unknowns * math.log2(max(2.0, unknowns))
    return found + costs.FACTORS_3D * unknowns**costs.FACTORS_POWER_3D


def _drawing_memory(run: Run) -> float:
    """Of the first rank, with all that it has, while it draws or has another process draw."""
    if not run.drawn or run.dim == 3:
        return costs.PLAIN[run.dim]
    base, pixel = costs.PICTURES
    return base + pixel * run.pixels + costs.DRAWN_UNKNOWN * run.unknowns


def disk(run: Run) -> float:
    """Bytes of the results: fields, pictures, and both in the report, tables."""
    files = costs.TABLES + costs.TABLES_REGION * run.regions
    if not run.drawn:
        return files
    picture = _picture(run)
    pictures = picture * (run.snapshots + (1 if run.surfaces else 0))
    files += (1 + costs.IN_REPORT) * pictures
    if run.dim == 3 and run.snapshots:
        triangles = min(costs.TRIANGLES_MOST, run.mesh.facets)
        shown = min(costs.SCENES_MOST, run.snapshots)
        files += 2 * triangles * (costs.TRIANGLE + costs.TRIANGLE_SNAPSHOT * shown)
    if run.snapshots:
        files += costs.FILE_HEADERS + costs.FILE_VOXEL * run.voxels + costs.FILE_FACET * run.mesh.facets
        files += (costs.FILE_NODE * run.mesh.nodes(run.degree) + costs.FILE_CELL) * run.mesh.solved
        files += (costs.FILE_UNKNOWN + costs.FILE_SNAPSHOT * run.snapshots) * run.unknowns
    return files


def _picture(run: Run) -> float:
    """Bytes of one picture of the sample: what changes from pixel to pixel is along interfaces."""
    if run.dim == 3:
        return costs.PICTURE_3D + costs.PICTURE_FACE_3D * run.faces ** (2 / 3)
    edges = run.faces * costs.PIXELS[2] / run.sides[0]
    return costs.PICTURE + costs.PICTURE_EDGE * (costs.PICTURE_STAIRS if run.method == "voxel" else 1.0) * edges


def checkpoint(run: Run) -> float:
    """Bytes of the two checkpoints that are kept in turn: the mesh, and what each solve has left."""
    vectors = 20.0 if run.solves.stepped else run.solves.number
    return 2 * (costs.CHECKPOINT_CELL[run.dim] * run.mesh.cells + costs.OF_VECTOR * vectors * run.unknowns)
