"""What runs take, for each cell, unknown and solve: constants that were measured, and nothing else.

CPU seconds are those of the machine REFERENCE; other machines take other times. Most constants were fitted to the runs
of the set `training` of benchmarks/estimate.py, which measures them again; benchmarks/README.md says where others took
part.

    runtime/run python3 benchmarks/estimate.py measure FILE --set training
    runtime/run python3 benchmarks/estimate.py compare FILE --set training
"""

REFERENCE = "two cores of an AMD EPYC, one BLAS thread for each rank"
MEGA = 1e6

PIXELS = {2: 1600.0, 3: 1500.0}  # along the longer side of a picture

# --- CPU seconds ---

START = {2: 1.3, 3: 2.5}  # imports, the forms that are compiled already, and the report, by dimension;
START_PLAIN = 1.5  # without a scene in 3D
REPORT = {2: 2.8e-6, 3: 2.4e-6}  # of the report, per solved cell,
REPORT_BOX, REPORT_FACET = 6.8e-6, 2.1e-6  # in 3D more for each cube, and for each facet at the surface
IMAGE = 0.2e-6  # per voxel
MESH = {("fitted", 2): 2.7e-5, ("lattice", 2): 3e-6, ("lattice", 3): 4.2e-6, ("voxel", 2): 1e-6, ("voxel", 3): 1e-6}
# per cell of all phases, by method and dimension
MANY, MESH_DIVIDED = 150_000, 1e-5  # fitted meshes of so many triangles are divided in four, which takes less per cell
MESH_VOXEL = {("lattice", 2): 0.1e-6, ("lattice", 3): 2e-6, ("voxel", 2): 0.1e-6, ("voxel", 3): 0.1e-6}
# per voxel of the image, by method and dimension
READ = 0.5e-6  # per cell of all phases, of a mesh that is there;
FOREIGN = (3.5e-6, 0.8e-6)  # of other programs' meshes more per cell of all phases, and per voxel that stands for them
DISTRIBUTE = {"triangle": 6.7e-6, "quadrilateral": 4.5e-6, "tetrahedron": 3.9e-6, "hexahedron": 8.3e-6}
# per cell of all phases: comparing mesh and image, and distributing it
ASSEMBLE = {(2, 1): 2.6e-6, (2, 2): 4.5e-6, (2, 3): 11e-6, (3, 1): 2.6e-6, (3, 2): 17e-6, (3, 3): 60e-6}
# per solved simplex, by dimension and degree
ASSEMBLE_TENSOR = {(2, 1): 2.4, (2, 2): 2.4, (2, 3): 2.4, (3, 1): 14.0, (3, 2): 16.0, (3, 3): 16.0}
# times as much for a square or cube
FACTORED = 5.2e-7  # a solve in 2D with factors, per unknown, its share of the factorisations included
FACTORED_3D = 8e-7  # factorisation and solves in 3D, per unknown to the power
POWER_3D = 1.5
ITERATED = 2.7e-6  # a solve by CG in 3D, per unknown,
ITERATED_CUBE = {1: 1.5e-6, 2: 3e-6, 3: 1.2e-5}  # and the same of cubes, by degree
DIFFERENCES = {2: 0.4e-6, 3: 2.7e-6}  # of finite differences on voxels, a solve with all that goes with it, per unknown
RECOVERED = 2.4e-7  # gradients that tell the error in space, per cell and solve; from the 3D demo (2.7 s)
FOLLOWED = {2: 0.2, 3: 0.4}  # the same along steps, per their solution; from benchmarks/space_errors_stepped.py
STEPPED = {2: (1e-4, 1.2e-7), 3: (3.6e-4, 7.1e-7)}  # an iteration of Newton's method, and per unknown;
SET_UP = {2: 2.8e-6, 3: 0.0}  # factors or multigrid for some iterations, per unknown: in 3D they go with these
PROFILES = {2: (0.02, 4.5e-7), 3: (0.02, 3.6e-6)}  # and per unknown
PROFILES_BOXES = 1e-6  # per unknown in squares and cubes,
PROFILES_CUBE = {1: 1e-5, 2: 4e-4, 3: 5.8e-3}  # more per cube, by degree
RESULTS = {2: 0.8, 3: 0.55}  # curves and tables, and what the first picture of a field loads
RESULTS_FACET = {2: 0.0, 3: 5.6e-6}  # surfaces to turn, per facet at the surface
SNAPSHOT = {2: (0.05, 0.044, 2e-7), 3: (0.17, 0.04, 2.4e-6)}  # each, each million pixels, and each unknown of each
PARTICLES = {2: 0.55, 3: 0.5}  # pictures of what reaches them
SURFACES = 3e-6  # regions of surfaces and their particles, per solved cell
SHELL = {2: 1e-6, 3: 2.4e-6}  # a region that is a shell, per solved cell

# --- solves ---

SOLVES = {2: (21.0, 4.0), 3: (14.0, 2.5)}  # of a constant problem: at tolerance 1, and more for each decade less
SOLVES_LOAD = 0.8  # of these, for each load that changes with time
CONTRAST = 10.0  # between diffusivities of transport phases: above it,
SOLVES_CONTRAST = {2: 1.0, 3: 2.0}  # so many times as many solves
STEPS = 1000.0  # iterations of Newton's method at a tolerance of 1e-3
STEPS_POWER = 0.2  # of the inverse of the tolerance
SET_UPS = 0.1  # of what solves linear equations, per iteration, where no trial has told it
LOOSER = 3.0  # the tolerance of the run that the error in space is told from, per tolerance

# --- memory, bytes ---

LIBRARIES = 200 * MEGA  # Python and its libraries, on every rank
OF_FITTED = 600.0  # gmsh and what surrounds it, per triangle of all phases
OF_LATTICE = 300.0  # per cell of all phases
OF_CELL = {2: 300.0, 3: 470.0}  # of a solved cell, its mesh and its image
OF_UNKNOWN = {(2, 1): 600.0, (2, 2): 1000.0, (2, 3): 1500.0, (3, 1): 600.0, (3, 2): 2600.0, (3, 3): 6000.0}
# of an unknown, its matrices and multigrid, by dimension and degree; in 3D from benchmarks/scale.py and accuracy.py
OF_UNKNOWN_TENSOR = {1: 5.0, 2: 2.0, 3: 2.0}  # times as much for cubes, by degree, whose rows couple more unknowns
OF_RECOVERED = 2200.0  # of an unknown, gradients that tell the error in space; from the 3D demo with finer elements
OF_SHELL = 500.0  # of a solved cell in 3D where some region is a shell; from the three runs of aged-anode-3d
OF_VECTOR = 8.0  # a number for each unknown, of which each solve keeps one
# Per unknown and power of two of their number, in 2D, by what makes the factors
FACTORS = {"mumps": 33.0, "cholmod": 44.0}
FACTORS_3D = 12.0  # per unknown to the power
FACTORS_POWER_3D = 4 / 3
PICTURES = (310 * MEGA, 57.0)  # in 2D: libraries, and each pixel of a picture;
RENDERER = (440 * MEGA, 93.0)  # in 3D: the process beside the first rank that draws, and each pixel
RENDERED = 450.0  # and each facet at the surface;
REPORTED = 100 * MEGA  # and what the first rank loads for it
PLAIN = {2: 260 * MEGA, 3: 330 * MEGA}  # the first rank without snapshots and surfaces
DRAWN_UNKNOWN = 1050.0  # in 2D, and per unknown

# --- disk, bytes ---

TABLES = 0.25 * MEGA  # curves, their picture, tables, the report without pictures;
TABLES_REGION = 0.05 * MEGA  # more for each region
FILE_HEADERS = 0.03 * MEGA  # of fields and phases
FILE_VOXEL = 0.15  # of the image as taken, packed
FILE_NODE = 8.0  # of each node of each cell,
FILE_CELL = 10.0  # more for a cell,
FILE_FACET = 24.0  # for each facet at the surface,
FILE_UNKNOWN = 24.0  # per unknown,
FILE_SNAPSHOT = 8.0  # and for each snapshot besides
IN_REPORT = 4 / 3  # of a picture in the report, as text, per its file
PICTURE = 0.07 * MEGA  # of a picture,
PICTURE_EDGE = 24.0  # more for each pixel along interfaces,
PICTURE_STAIRS = 0.5  # of these where they are straight lines
PICTURE_3D = 0.15 * MEGA
PICTURE_FACE_3D = 170.0  # per number of faces of voxels between phases to the power 2/3
TRIANGLES_MOST = 100_000.0  # of a scene in 3D
SCENES_MOST = 6  # snapshots in it
TRIANGLE, TRIANGLE_SNAPSHOT = 17.0, 1.35  # of each triangle, and for each snapshot; in the scene and in the report
CHECKPOINT_CELL = {2: 85.0, 3: 52.0}  # of a checkpoint, per cell
