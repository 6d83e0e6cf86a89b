"""Sets of cases that `estimate.py` measures and estimates: made images, third-party ones, the project's own cases."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared" / "data"
Labels = NDArray[np.uint8]

HEAD = """
title = "{name}"
[image]
file = "{file}"
voxel_size = "100 nm"
"""
PORE = '[phases.pore]\nlabel = 0\nrole = "source"\nconcentration = "1 mol/L"\n'
LINEAR = '"1e-13 m^2/s"'
LAW = '{ concentrations = ["0 mol/L", "1 mol/L"], values = ["1e-14 m^2/s", "1e-13 m^2/s"] }'
MEDIUM = '[phases.medium]\nlabel = 1\nrole = "transport"\ndiffusivity = '
PARTICLE = '[phases.particle]\nlabel = 2\nrole = "barrier"\n'
TWO = f"{PORE}{MEDIUM}{LINEAR}\n"
THREE = TWO + PARTICLE
STEPS = f"{PORE}{MEDIUM}{LAW}\n{PARTICLE}"
BOTH = THREE.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-15 m^2/s"')
TIME = '\n[time]\nend = "1000 s"\ntolerance = {tolerance:g}\nsnapshots = ["10 s", "1000 s"]\n'


# --- images ---


def noise(shape: tuple[int, ...], correlation: float, shares: tuple[float, float], seed: int = 3) -> Labels:
    """Smoothed noise, cut into pores, medium and particles."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape, np.float32), correlation)
    return np.digitize(smooth, np.quantile(smooth, shares)).astype(np.uint8)


def balls(shape: tuple[int, ...], radius: float, number: int, seed: int = 5) -> Labels:
    """Disks or balls of particles in a medium, under a layer of pores."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape, np.float32)
    image = np.ones(shape, np.uint8)
    for _ in range(number):
        middle = rng.uniform(0, 1, len(shape)) * shape
        size = radius * rng.uniform(0.6, 1.4)
        image[sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)) < size**2] = 2
    image[: shape[0] // 8] = 0
    return image


def layers(shape: tuple[int, ...], period: int) -> Labels:
    """Wavy layers: pore, medium, particle, medium."""
    grid = np.indices(shape, np.float32)
    wave = 0.3 * period * np.sin(2 * np.pi * grid[-1] / (2.7 * period))
    return np.array([0, 1, 2, 1], np.uint8)[np.floor((grid[0] + wave) / period * 4).astype(int) % 4]


def fibres(shape: tuple[int, ...], radius: float, number: int) -> Labels:
    """Pores as straight fibres in a medium, with particles of noise."""
    rng = np.random.default_rng(11)
    grid = np.indices(shape, np.float32)
    image = np.where(noise(shape, 4.0, (0.1, 0.75), 8) == 2, 2, 1).astype(np.uint8)
    for _ in range(number):
        way = rng.standard_normal(len(shape))
        way /= np.linalg.norm(way)
        away = [g - m for g, m in zip(grid, rng.uniform(0, 1, len(shape)) * shape, strict=True)]
        along = sum(a * w for a, w in zip(away, way, strict=True))
        image[sum(a**2 for a in away) - along**2 < radius**2] = 0
    return image


# --- sets ---


def training() -> Iterator[tuple[str, Labels, str, str, float]]:
    """Name, image, phases, [mesh], tolerance."""
    some = (0.3, 0.75)
    yield "noise-2d-200", noise((200, 200), 4, some), THREE, "", 1e-4
    yield "noise-2d-500", noise((500, 500), 6, some), THREE, 'size = { particle = "150 nm" }', 1e-3
    yield "noise-2d-500-coarse", noise((500, 500), 9, some), THREE, 'size = { particle = "500 nm" }\ndegree = 1', 1e-3
    yield "noise-2d-300-3", noise((300, 300), 8, some), THREE, "degree = 3", 1e-3
    yield "noise-2d-1000", noise((1000, 1000), 10, some), BOTH, 'size = { particle = "200 nm" }', 1e-4
    yield "noise-2d-lattice", noise((400, 400), 6, some), THREE, 'method = "lattice"', 1e-3
    yield (
        "noise-2d-lattice-coarse",
        noise((400, 400), 8, some),
        THREE,
        ('method = "lattice"\nsize = { particle = "500 nm" }\ngap_elements = 1'),
        1e-4,
    )
    yield "noise-2d-voxel", noise((300, 300), 5, some), THREE, 'method = "voxel"', 1e-3
    yield "noise-2d-steps", noise((200, 200), 6, some), STEPS, "", 1e-3
    yield "noise-3d-36", noise((36, 36, 36), 3, some), THREE, 'size = { particle = "300 nm" }', 1e-3
    yield "noise-3d-64", noise((64, 64, 64), 4, some), THREE, 'size = { particle = "300 nm" }', 1e-3
    yield (
        "noise-3d-64-coarse",
        noise((64, 64, 64), 5, some),
        THREE,
        ('size = { particle = "600 nm" }\ngap_elements = 1\ngrowth = 0.5'),
        1e-4,
    )
    yield (
        "noise-3d-40-2",
        noise((40, 40, 40), 4, some),
        THREE,
        ('size = { particle = "400 nm" }\ngap_elements = 1\ndegree = 2'),
        1e-3,
    )
    yield "noise-3d-32-none", noise((32, 32, 32), 3, some), BOTH, "", 1e-3
    yield "noise-3d-voxel", noise((48, 48, 48), 3, some), THREE, 'method = "voxel"', 1e-3
    yield "noise-3d-voxel-2", noise((24, 24, 24), 3, some), THREE, 'method = "voxel"\ndegree = 2', 1e-4
    yield "noise-3d-steps", noise((30, 30, 30), 3, some), STEPS, 'size = { particle = "400 nm" }', 1e-3
    yield "noise-3d-12", noise((12, 12, 12), 2, some), THREE, 'method = "voxel"', 1e-4


def held_out() -> Iterator[tuple[str, Labels, str, str, float]]:
    """The same of images of other kinds, and of third-party ones."""
    yield "disks-2d", balls((400, 300), 18, 60), THREE, 'size = { particle = "150 nm" }', 1e-4
    yield "disks-2d-lattice", balls((300, 300), 20, 30), THREE, 'method = "lattice"', 1e-3
    yield "layers-2d", layers((300, 300), 60), BOTH, "", 1e-3
    yield "fibres-2d", fibres((350, 350), 5, 8), THREE, 'size = { particle = "300 nm" }', 1e-3
    yield "fibres-2d-voxel", fibres((250, 250), 5, 8), THREE, 'method = "voxel"', 1e-4
    yield "disks-2d-steps", balls((250, 250), 15, 25), STEPS, "degree = 1", 1e-3
    yield "balls-3d", balls((60, 60, 60), 9, 25), THREE, 'size = { particle = "300 nm" }', 1e-3
    yield "balls-3d-2", balls((40, 40, 40), 8, 8), THREE, 'size = { particle = "400 nm" }\ndegree = 2', 1e-3
    yield "layers-3d", layers((40, 40, 40), 20), BOTH, "", 1e-3
    yield "fibres-3d", fibres((56, 56, 56), 4, 6), THREE, 'size = { particle = "400 nm" }\ngap_elements = 2', 1e-4
    yield "balls-3d-voxel", balls((40, 40, 40), 8, 8), BOTH, 'method = "voxel"', 1e-3
    if not DATA.is_dir():
        return

    def of(name: str, *labels: int) -> Labels:
        stored = tifffile.imread(DATA / name)
        found = np.full(stored.shape, 2, np.uint8)
        for index, label in enumerate(labels):
            found[stored == label] = index
        return found

    yield "nmc111_sem_256", of("nmc111_sem_256.tif", 0, 3), THREE, "", 1e-3
    yield "nmc111_sem_256-cracks", of("nmc111_sem_256.tif", 1, 2), BOTH, 'size = { medium = "250 nm" }', 1e-4
    yield "alloy_512", of("alloy_512.tif", 85, 170), THREE, "degree = 1", 1e-3
    yield "alloy_512-lattice", of("alloy_512.tif", 85, 170), THREE, 'method = "lattice"\ndegree = 1', 1e-3
    yield "nmc_bridge_64", of("nmc_bridge_64.tif", 0, 2), THREE, "gap_elements = 1", 1e-3
    yield "nmc_bridge_64-voxel", of("nmc_bridge_64.tif", 0, 1), THREE, 'method = "voxel"', 1e-3
    yield "tau_electrode_64", of("tau_electrode_64.tif", 0, 85), THREE, 'size = { particle = "400 nm" }', 1e-3
    yield (
        "ellipsoids_64",
        of("ellipsoids_64.tif", 0, 1),
        TWO,
        'size = { medium = "400 nm" }',
        1e-3,
    )
    yield (
        "blobs_100",
        of("blobs_100_1bit.tif", 0, 1),
        TWO,
        'method = "voxel"',
        1e-3,
    )


def grains(shape: tuple[int, ...], number: int, rim: float, seed: int = 21) -> Labels:
    """Grains around random points, particles, with a medium between them and a layer of pores on top."""
    points = np.random.default_rng(seed).uniform(0, 1, (number, len(shape))) * shape
    voxels = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, len(shape)) + 0.5
    near, _ = cKDTree(points).query(voxels, k=2)
    image = np.where(near[:, 1] - near[:, 0] < rim, 1, 2).reshape(shape).astype(np.uint8)
    image[: shape[0] // 10] = 0
    return image


def rings(shape: tuple[int, ...], period: float) -> Labels:
    """Pore, medium and particle in rings or shells around a corner."""
    grid = np.indices(shape, np.float32)
    return np.array([0, 1, 2, 1], np.uint8)[(np.sqrt((grid**2).sum(axis=0)) / period * 4).astype(int) % 4]


def streaks(shape: tuple[int, ...], correlations: tuple[float, ...], shares: tuple[float, float], seed: int) -> Labels:
    """Noise that is longer along one axis than along another."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape, np.float32), correlations)
    return np.digitize(smooth, np.quantile(smooth, shares)).astype(np.uint8)


FILM = '[[interfaces]]\nbetween = ["medium", "particle"]\nfilm = { thickness = "10 nm", diffusivity = "1e-17 m^2/s" }\n'
PARTITION = '[[interfaces]]\nbetween = ["medium", "particle"]\npartition = 4.0\n'
CURRENT = '{ times = ["0 s", "40 s", "80 s"], values = ["0.4 A/m^2", "-0.4 A/m^2", "0.4 A/m^2"], period = "80 s", '
CYCLE = f'[faces]\nx_min = {{ current_density = {CURRENT}interpolation = "step" }} }}\n'
FILLED = MEDIUM + LINEAR + '\ninitial = "1 mol/L"\n' + PARTICLE
FED = MEDIUM + LINEAR + "\n" + PARTICLE + '[faces]\nx_min = { concentration = "1 mol/L" }\n'
SINK = TWO + '[phases.particle]\nlabel = 2\nrole = "sink"\nuptake = "1e-8 m/s"\n'
MARKED = """[regions.surface]
surface = "particle"
[regions.near]
shell = { around = "particle", distance = "500 nm" }
[regions.corner]
box = { x = ["0 um", "4 um"], y = ["0 um", "4 um"] }
"""


def fresh() -> Iterator[tuple[str, Labels, str, str, float]]:
    """The same of other images and kinds of cases, made when the constants were final."""
    yield "streaks-2d-film", streaks((220, 300), (3, 14), (0.25, 0.7), 31), BOTH + FILM, "", 1e-4
    yield (
        "rings-2d-3",
        rings((200, 240), 70),
        THREE.replace(PORE, PORE + 'mass_transfer = "1e-7 m/s"\n'),
        "degree = 3",
        1e-3,
    )
    yield (
        "streaks-2d-periodic",
        streaks((160, 180), (5, 5), (0.2, 0.6), 32),
        THREE + '[faces]\nx = "periodic"\n',
        "",
        1e-4,
    )
    yield "grains-2d-steps", grains((240, 200), 40, 7), STEPS, 'method = "lattice"\ndegree = 1', 1e-4
    yield "streaks-2d-cycle", np.maximum(streaks((200, 200), (8, 4), (0.1, 0.6), 33), 1), FILLED + CYCLE, "", 1e-3
    yield "grains-2d-marked", grains((300, 260), 25, 12), THREE + MARKED, "", 1e-3
    yield "grains-2d-voxel", grains((180, 180), 30, 9), BOTH + PARTITION, 'method = "voxel"\ndegree = 1', 1e-2
    yield "grains-3d", grains((50, 44, 48), 20, 6), BOTH + PARTITION, 'size = { particle = "300 nm" }', 1e-3
    yield (
        "streaks-3d-2",
        streaks((36, 40, 30), (2, 5, 3), (0.3, 0.7), 34),
        THREE,
        'degree = 2\nsize = { particle = "400 nm" }',
        1e-4,
    )
    yield "rings-3d-voxel", rings((40, 36, 44), 26), THREE + '[faces]\nz = "periodic"\n', "", 1e-3
    yield "rings-3d-steps", rings((30, 30, 34), 24), STEPS, 'method = "voxel"', 1e-3
    yield "streaks-3d-sink", streaks((44, 40, 52), (3, 3, 6), (0.2, 0.75), 35), SINK, "", 1e-3
    yield "streaks-3d-long", np.maximum(streaks((20, 24, 110), (3, 3, 5), (0.1, 0.6), 36), 1), FED, "", 1e-4


def varied(folder: Path) -> dict[str, Path]:
    """Case files of the project with other choices."""
    found = {}
    for name, (text, *edits) in {
        "aged-anode-2d/case-1": ("aged-anode-2d/case.toml", ("degree = 2", "degree = 1"), ("1e-4", "1e-3")),
        "lithiation/case-tight": ("lithiation/case.toml", ("1e-3", "1e-4")),
        "slab/case-loose": ("slab/case.toml", ("1e-4", "1e-2"), ("[mesh]", "[mesh]\ndegree = 3")),
    }.items():
        source = PROJECT / "cases" / text
        written = source.read_text()
        for old, new in edits:
            written = written.replace(old, new)
        image = next(line for line in written.splitlines() if line.startswith("file")).split('"')[1]
        found[name] = folder / (name.replace("/", "-") + ".toml")
        found[name].write_text(written.replace(f'"{image}"', f'"{(source.parent / image).resolve()}"', 1))
    return found


def made(folder: Path, cases: Iterator[tuple[str, Labels, str, str, float]]) -> dict[str, Path]:
    """Case files of a set, written with their images."""
    found = {}
    for name, image, phases, mesh, tolerance in cases:
        tifffile.imwrite(folder / f"{name}.tif", image)
        found[name] = folder / f"{name}.toml"
        text = (
            HEAD.format(name=name, file=f"{name}.tif")
            + phases
            + f"\n[mesh]\n{mesh}\n"
            + TIME.format(tolerance=tolerance)
        )
        found[name].write_text(text)
    return found


def of_project(_: Path) -> dict[str, Path]:
    """The case files of the project."""
    files = sorted((PROJECT / "cases").glob("*/*.toml"))
    return {f"{path.parent.name}/{path.stem}": path for path in files if "segment" not in path.stem}


# --- kinds of cases: meshes and results that are there, all methods and degrees, few pixels and many ---

STORED = 'file = "{}"\n'
FROM = 'initial = {{ from = "{}" }}\n'
SWEEP = '[sweep]\ngrid = { phases.medium.diffusivity = ["1e-13 m^2/s", "2e-13 m^2/s", "4e-13 m^2/s"] }\n'


def of_methods() -> Iterator[tuple[str, Labels, str, str, float]]:
    """Two images in all ways, and images of few pixels and of many."""
    plain, volume = noise((260, 300), 6, (0.2, 0.7), 41), noise((40, 44, 36), 4, (0.2, 0.7), 42)
    for method in ("fitted", "lattice", "voxel"):
        for degree in (1, 2, 3):
            yield f"{method}-2d-{degree}", plain, THREE, f'method = "{method}"\ndegree = {degree}', 1e-3
    for method, degree in (("lattice", 1), ("voxel", 1), ("lattice", 2), ("voxel", 2), ("lattice", 3), ("voxel", 3)):
        cut = tuple(slice(0, n) for n in {1: (40, 44, 36), 2: (28, 26, 24), 3: (16, 18, 14)}[degree])
        yield f"{method}-3d-{degree}", volume[cut], THREE, f'method = "{method}"\ndegree = {degree}', 1e-3
    yield "periodic-2d", plain, THREE + '[faces]\nx = "periodic"\n', 'method = "lattice"', 1e-3
    yield "periodic-3d", volume, THREE + '[faces]\nx = "periodic"\ny = "periodic"\n', 'method = "lattice"', 1e-3
    yield "sweep-2d", plain, THREE + SWEEP, "", 1e-3
    yield "few-2d", noise((14, 18), 2, (0.2, 0.7), 43), THREE, "", 1e-3
    yield "few-3d", noise((7, 8, 6), 1.5, (0.2, 0.7), 44), THREE, "", 1e-3
    yield "many-2d", noise((1500, 2000), 20, (0.2, 0.7), 45), THREE, 'size = { particle = "500 nm" }', 1e-3
    yield "many-2d-lattice", noise((1000, 1400), 20, (0.2, 0.7), 46), THREE, 'method = "lattice"\ngrowth = 0.6', 1e-3


def foreign(path: Path, dim: int, size: float) -> None:
    """A mesh of gmsh: a ball or disk in a box of 10 um."""
    import gmsh

    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    occ, model = gmsh.model.occ, gmsh.model
    if dim == 2:
        box, inner = (2, occ.addRectangle(0, 0, 0, 10, 10)), (2, occ.addDisk(5, 5, 0, 3, 3))
    else:
        box, inner = (3, occ.addBox(0, 0, 0, 10, 10, 10)), (3, occ.addSphere(5, 5, 5, 3))
    _, parts = occ.fragment([box], [inner])
    occ.synchronize()
    inside = {tag for _, tag in parts[1]}
    model.addPhysicalGroup(dim, sorted(inside), name="medium")
    model.addPhysicalGroup(dim, sorted({tag for _, tag in parts[0]} - inside), name="pore")
    gmsh.option.setNumber("Mesh.MeshSizeMax", size)
    model.mesh.generate(dim)
    gmsh.write(str(path))
    gmsh.finalize()


def there_already(folder: Path) -> dict[str, Path]:
    """Cases that take a mesh or a result that is there already."""
    medium = PORE + MEDIUM + LINEAR + "\n"
    found = {}
    for dim, size, degree in ((2, 0.08, 2), (3, 0.3, 1), (3, 0.6, 2)):
        name = f"foreign-{dim}d-{degree}"
        if not (folder / f"{name}.msh").exists():
            foreign(folder / f"{name}.msh", dim, size)
        mesh = f'[mesh]\nfile = "{name}.msh"\nunit = "1 um"\ndegree = {degree}\n'
        phases = medium.replace("label = 0\n", "").replace("label = 1\n", "")
        found[name] = folder / f"{name}.toml"
        found[name].write_text(f'title = "{name}"\n{phases}{mesh}{TIME.format(tolerance=1e-3)}')
    plain, volume = noise((220, 240), 6, (0.2, 0.7), 47), noise((44, 40, 36), 4, (0.2, 0.7), 48)
    for name, image, mesh in (("2d", plain, ""), ("3d", volume, 'size = { particle = "200 nm" }')):
        base = made(folder, iter([(f"base-{name}", image, THREE, mesh, 1e-3)]))[f"base-{name}"]
        if not (folder / f"{name}.vtkhdf").exists():
            _microlith("mesh", base, folder / f"{name}.vtkhdf")
        if not (folder / f"result-{name}").exists():
            _microlith("run", base, folder / f"result-{name}")
        text = base.read_text()
        for kind, edited in (
            ("stored", text.replace(f"[mesh]\n{mesh}", "[mesh]\n" + STORED.format(f"{name}.vtkhdf"))),
            ("from", FROM.format(f"result-{name}") + text.replace("1e-13", "3e-13")),
            ("from-other", FROM.format(f"result-{name}") + text.replace("[mesh]\n", '[mesh]\nmethod = "voxel"\n')),
        ):
            if kind == "from-other":
                edited = edited.replace(mesh, "")
            found[f"{kind}-{name}"] = folder / f"{kind}-{name}.toml"
            found[f"{kind}-{name}"].write_text(edited)
    return found


def _microlith(command: str, case: Path, output: Path) -> None:
    """In a process of its own."""
    program = "import sys; from microlith.workflow.cli import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", program, "-q", command, str(case), "-o", str(output)], check=True)


# --- further images and kinds, made when the model of costs was there and not looked at while it was ---

FILLS = TWO + '[phases.particle]\nlabel = 2\nrole = "sink"\n'
FILLS += 'uptake = { rate = "1e-8 m/s", capacity = "2e-4 mol/m^2" }\n'
RAMP = 'mass_transfer = { times = ["0 s", "400 s"], values = ["1e-9 m/s", "1e-7 m/s"] }\n'
LOST = THREE.replace(LINEAR, LINEAR + '\ndecay = "2e-3 1/s"')
FIVE = PORE + "".join(
    f'[phases.p{i}]\nlabel = {i}\nrole = "transport"\ndiffusivity = "{d} m^2/s"\n'
    for i, d in ((1, "1e-13"), (2, "1e-15"), (3, "3e-12"), (4, "2e-14"))
)
OFTEN = ", ".join(f'"{t} s"' for t in range(50, 1001, 50))
BOXES = "".join(
    f'[regions.r{i}]\nbox = {{ z = ["{0.3 * i:.1f} um", "{0.3 * i + 0.6:.1f} um"] }}\n' for i in range(1, 9)
)


def late(folder: Path) -> dict[str, Path]:
    """Images and kinds of cases that no other set has."""
    rods = fibres((260, 240), 7, 5)
    found = made(
        folder,
        iter(
            [
                ("rods-3d-flat", fibres((30, 60, 60), 5, 5), THREE, 'size = { particle = "500 nm" }', 1e-3),
                ("grains-2d-fills", grains((200, 220), 30, 12, 51), FILLS, "degree = 1", 1e-3),
                ("streaks-2d-ramp", streaks((180, 240), (4, 9), (0.25, 0.6), 52), "", "degree = 1", 1e-3),
                ("rings-3d-decay", rings((36, 40, 32), 30), LOST, 'method = "voxel"', 1e-4),
                ("grains-2d-five", np.maximum(grains((240, 260), 40, 6, 53), 1), FIVE, "", 1e-3),
                ("layers-3d-plain", layers((32, 36, 40), 24), THREE + BOXES, "estimate = false", 1e-6),
                ("rods-2d-often", rods, THREE + MARKED, 'method = "lattice"', 1e-3),
                ("disks-2d-wide", balls((120, 1600), 20, 70, 54), BOTH, "", 1e-3),
            ]
        ),
    )
    name = "grains-2d-five"
    image = tifffile.imread(folder / f"{name}.tif")
    parts = np.digitize(noise(image.shape, 12.0, (0.34, 0.67), 55), (1, 2)) + 2
    image = np.where(image == 1, 1, parts).astype(np.uint8)
    image[: image.shape[0] // 10] = 0
    tifffile.imwrite(folder / f"{name}.tif", image)
    for name, old, changed in (
        ("rods-3d-flat", 'voxel_size = "100 nm"', 'voxel_size = { x = "100 nm", y = "100 nm", z = "230 nm" }'),
        ("streaks-2d-ramp", "[mesh]", PORE + RAMP + MEDIUM + LINEAR + "\n" + PARTICLE + "\n[mesh]"),
        ("layers-3d-plain", 'snapshots = ["10 s", "1000 s"]', "snapshots = []"),
        ("rods-2d-often", '"10 s", "1000 s"', OFTEN),
    ):
        text = found[name].read_text()
        assert old in text
        found[name].write_text(text.replace(old, changed))
    return found


SETS: dict[str, Callable[[Path], dict[str, Path]]] = {
    "training": lambda folder: made(folder, training()),
    "held-out": lambda folder: made(folder, held_out()),
    "fresh": lambda folder: made(folder, fresh()) | varied(folder),
    "kinds": lambda folder: made(folder, of_methods()) | there_already(folder),
    "late": late,
    "cases": of_project,
}
