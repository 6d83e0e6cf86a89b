"""`microlith plot`: the pictures of a run drawn again from its results, without solving."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.particles import Particles, particles_of
from microlith.solver.physics.phases import Role
from microlith.solver.regions.shapes import Shape, SurfaceOf, shape_of
from microlith.solver.regions.surface_means import surface_facets
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.case.pictures import picture_options
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.curves import RegionCurves, draw_curves
from microlith.workflow.pictures.figure import files_of, snapshot_names
from microlith.workflow.pictures.particle_distances import draw_distances
from microlith.workflow.pictures.particles import draw_particles
from microlith.workflow.pictures.sample import Sample, Snapshots
from microlith.workflow.pictures.snapshots import draw_snapshots
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces, SurfaceRegion, particle_of_facets
from microlith.workflow.results.folder import (
    CURVES,
    CURVES_PICTURE,
    DISTANCE_PICTURE,
    ERRORS,
    FIELDS,
    PARTICLES,
    PARTICLES_PICTURE,
    PHASES,
    SUMMARY,
    added_files,
)
from microlith.workflow.results.particles import ParticleTable, read_particles
from microlith.workflow.results.phases import stored_image, stored_volume
from microlith.workflow.results.read import read_curves, read_errors, read_summary
from microlith.workflow.results.stored_fields import StoredFields, stored_fields
from microlith.workflow.schema.kinds import Place
from microlith.workflow.schema.picture_keys import PICTURES

log = logging.getLogger(__name__)


def plot(folder: Path, output: Path, changes: Mapping[str, Any], force: bool = False) -> list[Path]:
    """Draw the pictures of a run again.

    What the folder does not hold is told in the log, and left out.

    Args:
        folder: The results of a run.
        output: Where the pictures go; in the folder itself they replace those that are there.
        changes: What is to be other than in the run, as in the table [pictures] of a case file.
        force: Whether files are replaced that microlith did not write.

    Returns:
        The files.

    Raises:
        InputError: `folder` is not that of a run, or something in it can't be read or written.
    """
    stored = _Stored(folder, changes)
    names = [CURVES_PICTURE, DISTANCE_PICTURE, PARTICLES_PICTURE, *stored.snapshot_names]
    files = [file for name in names for file in files_of(output / name, stored.options)]
    with _held(folder, output, files, force):
        _draw_curves(stored, output)
        _draw_snapshots(stored, output)
        _draw_particles(stored, output)
    return [file for file in files if file.is_file()]


class _Stored:
    """The results in a folder, each read when it is asked for."""

    def __init__(self, folder: Path, changes: Mapping[str, Any]) -> None:
        self.folder = folder
        self.summary = read_summary(folder)
        with self._readable():
            self.case: Mapping[str, Any] = self.summary["case"]
            self.title = str(self.case["title"])
            self.end = float(self.case["time"]["end_s"])
            self.roles = {name: Role(phase["role"]) for name, phase in self.case["phases"].items()}
            self.regions: dict[str, Shape] = {name: shape_of(data) for name, data in self.case["regions"].items()}
            as_run = _options_of(self.case)
        self.options = self._changed(as_run, changes)

    def _changed(self, options: PictureOptions, changes: Mapping[str, Any]) -> PictureOptions:
        at = Place("microlith plot", ("pictures",))
        given = picture_options(PICTURES.parse(dict(changes), at), self.roles, at)
        fields = {"range": "ranges"}
        return replace(options, **{fields.get(key, key): getattr(given, fields.get(key, key)) for key in changes})

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{self.folder / SUMMARY}: expected the summary of a run ({type(error).__name__}: {error}); run the "
                "case again"
            ) from error

    @property
    def surfaces(self) -> dict[str, SurfaceOf]:
        """The regions of particles' surfaces."""
        return {name: shape for name, shape in self.regions.items() if isinstance(shape, SurfaceOf)}

    @cached_property
    def fields(self) -> StoredFields | None:
        """Mesh and concentrations; None where the run left none."""
        return stored_fields(self.folder / FIELDS) if (self.folder / FIELDS).is_file() else None

    @cached_property
    def volume(self) -> LabelVolume | None:
        """The image; None where the run left none."""
        if not (self.folder / PHASES).is_file():
            return None
        with self._readable():  # older summaries don't say
            periodic = tuple(AXES.index(axis) for axis in self.case["mesh"].get("periodic_axes", ()))
        return replace(stored_volume(self.folder / PHASES), periodic=periodic)

    @property
    def snapshot_names(self) -> list[str]:
        """Names of the pictures of the snapshots."""
        return [] if self.fields is None else snapshot_names([float(time) for time in self.fields.times])

    @cached_property
    def sample(self) -> Sample | None:
        """What the pictures show; None where fields or image are not there."""
        fields, volume = self.fields, self.volume
        if fields is None or volume is None:
            return None
        image = stored_image(volume) if volume.dim == 2 else None
        with self._readable():
            roles = tuple(self.roles[name] for name in fields.mesh.names)
        return Sample(self.title, fields.mesh, roles, image, volume, self.regions, self.options)

    @cached_property
    def tables(self) -> tuple[ParticleTable, ...]:
        """What is known of the particles; none where no region is of their surfaces."""
        if not self.surfaces or not (self.folder / PARTICLES).is_file():
            return ()
        return read_particles(self.folder / PARTICLES, self.surfaces)

    def scales(self) -> tuple[ColourScale, ...]:
        """The scales of the run, with the ends that are asked for now."""
        with self._readable():
            scales = [ColourScale.of_entry(entry) for entry in self.summary["colour_scales"]]
        found: list[ColourScale] = []
        for scale in scales:
            given = [name for name in scale.phases if name in self.options.ranges]
            rest = tuple(name for name in scale.phases if name not in given)
            found += [replace(scale, phases=rest)] if rest else []
            for name in given:
                low, high = self.options.ranges[name]
                found.append(replace(scale, phases=(name,), low=low, high=high))
        return tuple(found)


def _options_of(case: Mapping[str, Any]) -> PictureOptions:
    """How the pictures of the run look."""
    pictures = case.get("pictures", {})
    width, ranges = pictures.get("width_m"), pictures.get("ranges_mol_per_m3", {})
    return PictureOptions(
        formats=tuple(pictures.get("formats", PictureOptions.formats)),
        width=None if width is None else float(width),
        resolution=int(pictures.get("resolution_per_inch", PictureOptions.resolution)),
        colours=str(pictures.get("colours", PictureOptions.colours)),
        ranges={name: (float(low), float(high)) for name, (low, high) in ranges.items()},
    )


@contextmanager
def _held(folder: Path, output: Path, files: list[Path], force: bool) -> Iterator[None]:
    """Keep other commands away while pictures are added to the results, or see that nothing is in the way elsewhere."""
    if output.resolve() == folder.resolve():
        held: Any = added_files(folder, [file.name for file in files], force)
    else:
        there = next((file for file in files if file.exists()), None)
        if there is not None and not force:
            raise InputError(f"{there}: this file exists already; name another folder with -o, or add --force")
        output.mkdir(parents=True, exist_ok=True)
        held = nullcontext()
    with held:
        yield


# --- drawing ---


def _draw_curves(stored: _Stored, output: Path) -> None:
    times, means = read_curves(stored.folder / CURVES)
    known = read_errors(stored.folder)
    if any(len(values) != len(times) for values in known.values()):
        raise InputError(
            f"{stored.folder / ERRORS}: expected as many times as in {CURVES}, got others; run the case again"
        )
    if not known:
        log.info("%s: there is no %s; curves are drawn without bands", stored.folder, ERRORS)
    regions = stored.summary["regions"]
    references = {name: float(regions[name].get("reference_mol_per_m3") or 0.0) for name in means if name in regions}
    in_space = stored.summary["error"].get("space") is not None
    band = "estimated error in time and space" if in_space else "estimated error in time"
    draw_curves(
        output / CURVES_PICTURE, stored.title, RegionCurves(times, means, references, known, band), stored.options
    )


def _draw_snapshots(stored: _Stored, output: Path) -> None:
    fields, sample = stored.fields, stored.sample
    if fields is None:
        log.warning("%s: there is no %s, so snapshots can't be drawn", stored.folder, FIELDS)
        return
    if sample is None:
        log.warning("%s: there is no %s, so snapshots can't be drawn: the other phases", stored.folder, PHASES)
        return
    concentrations = (fields.concentration(step) for step in range(len(fields.times)))
    times = [float(time) for time in fields.times]
    draw_snapshots(output, sample, Snapshots(fields.space, times, concentrations, stored.scales()))


def _draw_particles(stored: _Stored, output: Path) -> None:
    if not stored.tables:
        if stored.surfaces:
            log.warning("%s: there is no %s, so particles can't be drawn", stored.folder, PARTICLES)
        return
    draw_distances(output / DISTANCE_PICTURE, stored.title, stored.tables, stored.end, stored.options)
    sample, volume = stored.sample, stored.volume
    if sample is None or volume is None:
        log.warning("%s: without %s and %s particles can't be drawn in their places", stored.folder, FIELDS, PHASES)
        return
    surfaces, tables = _surfaces(sample, volume, stored.tables)
    draw_particles(output / PARTICLES_PICTURE, sample, surfaces, tables, stored.end)


def _surfaces(
    sample: Sample, volume: LabelVolume, tables: tuple[ParticleTable, ...]
) -> tuple[ParticleSurfaces, tuple[ParticleTable, ...]]:
    """The particles in the image and their facets, and the tables with the particles' numbers among all."""
    names = sample.mesh.names
    phases = list(dict.fromkeys(names.index(table.shape.phase) for table in tables))
    particles = particles_of(volume, phases, MPI.COMM_SELF)
    numbers = [_numbers(particles, names.index(table.shape.phase), table) for table in tables]
    numbered = tuple(replace(table, numbers=own) for table, own in zip(tables, numbers, strict=True))
    solved = [int(phase) for phase in np.flatnonzero(sample.solved)]
    regions = []
    for table in numbered:
        phase = names.index(table.shape.phase)
        facets = surface_facets(sample.mesh, phase, solved)
        of = particle_of_facets(particles, phase, table.numbers, facets, table.region)
        held = np.ones(len(table.numbers))
        regions.append(SurfaceRegion(table.region, table.shape, table.numbers, facets, of, table.surface, held))
    return ParticleSurfaces(particles, tuple(regions), csr_array((0, 0)), {}), numbered


def _numbers(particles: Particles, phase: int, table: ParticleTable) -> Any:
    """Numbers of a table's particles among all of the image."""
    numbers = np.flatnonzero(particles.phase == phase)
    if len(numbers) != len(table.numbers):
        raise InputError(
            f"{PARTICLES}: it has {len(table.numbers)} particles of {table.shape.phase}, the image {len(numbers)}; "
            "these are not of one run: run the case again"
        )
    return numbers
