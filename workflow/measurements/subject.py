"""What is measured: an image, and which of its phases are meant by what the case says."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.axes import AXES, axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.labels import read_region_labels
from microlith.imaging.image.load import whole_on_root
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.measures.surfaces import Surfaces, surfaces_and_lines
from microlith.imaging.measures.triple_lines import TripleLines
from microlith.imaging.measures.whole_faces import GatheredFaces, WholeFaces, faces_on_root
from microlith.imaging.microstructure.adjacency import adjacency
from microlith.imaging.options import ImageSource
from microlith.imaging.parallel.collective import on_root
from microlith.solver.physics.phases import Role
from microlith.workflow.case.case import AnalysisOptions, Case
from microlith.workflow.measurements.findings import Finding

FIRST_FACE = {2: "y_min", 3: "z_min"}  # from which ways start where the case does not say


@dataclass(frozen=True, eq=False)
class Subject:
    """An image, or a part of one, with all that measurements need to know of the case."""

    volume: LabelVolume
    comm: MPI.Intracomm  # ranks that share it
    options: AnalysisOptions
    source: ImageSource | None  # of the image; None of a part of one
    pores: tuple[int, ...]  # phases
    particles: tuple[int, ...]  # phases
    face: str  # that ways start from
    reach: Mapping[int, str]  # phase -> outer face
    conducting: tuple[int, ...] = ()  # phases whose effective diffusivity is found
    coarsening: int = 1  # edge of the blocks, in voxels, that the image is coarsened by for that
    numbers_only: bool = False  # of a part of the image: no tables, charts and maps are wanted
    whole_surfaces: Surfaces | None = None  # of a part of the image: areas of the whole, where they are known
    _known: dict[str, Any] = field(default_factory=dict)  # what was measured already

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes in the order of arrays: z, y, x or y, x."""
        return axis_names(self.volume.dim)

    def names(self, phases: tuple[int, ...]) -> str:
        """Names of some phases, joined as parts of a number's name."""
        return "+".join(self.volume.names[phase] for phase in phases)

    def surfaces(self) -> Surfaces:
        """Areas between phases; collective."""
        return self.surfaces_and_lines()[0]

    def known_surfaces(self) -> Surfaces | None:
        """Areas between phases, where they were measured."""
        return self._known["surfaces"][0] if "surfaces" in self._known else None

    def surfaces_and_lines(self) -> tuple[Surfaces, TripleLines]:
        """Areas between phases, and lines where three meet; collective."""
        if "surfaces" not in self._known:
            self._known["surfaces"] = self._measured_surfaces(None)
        found: tuple[Surfaces, TripleLines] = self._known["surfaces"]
        return found

    def _measured_surfaces(self, gathered: GatheredFaces | None) -> tuple[Surfaces, TripleLines]:
        image: LabelImage | None = self._known.get("image")
        return surfaces_and_lines(self.volume, self.comm, gathered, self.whole_surfaces, image)

    def find_surfaces_and_faces(self) -> None:
        """Get areas, and faces to the first rank: in one pass, if neither is known; collective."""
        if not {"surfaces", "faces"} & set(self._known):
            gathered = GatheredFaces(self.volume, self.comm)
            self._known["surfaces"] = self._measured_surfaces(gathered)
            self._known["faces"] = gathered.whole()
        self.find_faces()

    def find_faces(self) -> None:
        """Get the faces between phases of the whole image to the first rank; collective."""
        if "faces" not in self._known:
            self._known["faces"] = faces_on_root(self.volume, self.comm)

    def faces(self) -> WholeFaces:
        """The faces between phases, on the first rank and after `find_faces`."""
        found: WholeFaces = self._known["faces"]
        return found

    def load(self) -> None:
        """Get the whole image to the first rank; collective."""
        if "image" not in self._known:
            self._known["image"] = whole_on_root(self.volume, self.comm)

    def lend(self, rank: int) -> None:
        """Get the whole image to another rank, until it is forgotten there; collective."""
        volume = self.volume
        window = volume.whole_window if self.comm.rank == rank else volume.empty_window
        phase = volume.read(window).phase
        if self.comm.rank == rank:
            self._known["image"] = LabelImage(phase, volume.names, volume.voxel_size, volume.stored_shape)

    def forget(self, what: str) -> None:
        """Free the "image" or the "faces" on this rank."""
        self._known.pop(what, None)

    def from_root(self, measure: "Callable[[Subject], Finding]") -> Finding:
        """What the first rank measures in the whole image; collective. Maps and fields stay there."""
        return self.shared(on_root(self.comm, measure, self))

    def shared(self, found: Finding | None, rank: int = 0) -> Finding:
        """What a rank has found, on all ranks; collective. Maps and fields are on the first one only."""
        shared = dataclasses.replace(found, maps=(), surfaces=(), fields=()) if found and rank == 0 else found
        told: Finding = self.comm.bcast(shared, root=rank)
        return found if found and rank == 0 else told

    def particle_labels(self) -> NDArray[Any]:
        """Labels of single particles in the whole image, on the first rank, where the case names an image of them.

        Raises:
            InputError: It can't be read, or does not fit.
        """
        if "labels" not in self._known:
            assert self.source is not None  # parts are given theirs
            path, key = self.options.particle_labels, "[analysis] particle_labels"
            shape, stored = self.volume.shape, self.volume.stored_shape
            self._known["labels"] = read_region_labels(path, self.source, shape, key, stored)
        found: NDArray[Any] = self._known["labels"]
        return found

    def dealt_labels(self, windows: Sequence[Window]) -> list[NDArray[Any]]:
        """Those of parts of the image, dealt to the ranks in turn as `read_in_turn` deals the image; collective."""
        labels = on_root(self.comm, self.particle_labels)
        mine = []
        for first in range(0, len(windows), self.comm.size):
            turn = windows[first : first + self.comm.size]
            pieces = None
            if labels is not None:
                pieces = [labels[tuple(slice(*ends) for ends in window)] for window in turn]
                pieces += [labels[:0]] * (self.comm.size - len(turn))
            piece = self.comm.scatter(pieces)
            if self.comm.rank < len(turn):
                mine.append(piece)
        return mine

    def image(self) -> LabelImage:
        """The whole image, on the first rank and after `load`."""
        found: LabelImage = self._known["image"]
        return found


def subject_of(case: Case, volume: LabelVolume, comm: MPI.Intracomm) -> Subject:
    """The image of a case as what is to be measured; collective.

    Where [analysis] does not say which phases are pores and particles, sources are pores, and particles are the
    barriers and sinks; ways start at z_min (in 2D y_min), and pores are looked for that are connected to that face.

    Raises:
        InputError: A face that [analysis] names is none of the image, or the phase does not touch it.
    """
    options, roles = case.analysis, {phase.name: phase.role for phase in case.physics.phases}

    def phases(given: tuple[str, ...], *meant: Role) -> tuple[int, ...]:
        return tuple(i for i, name in enumerate(volume.names) if (name in given if given else roles[name] in meant))

    pores = phases(options.pores, Role.SOURCE)
    particles = phases(options.particles, Role.BARRIER, Role.SINK)
    face = options.face or FIRST_FACE[volume.dim]
    reach = {volume.names.index(name): at for name, at in options.reach.items()} or dict.fromkeys(pores, face)
    for key, at in [("face", options.face), *((f"reach.{name}", at) for name, at in options.reach.items())]:
        if at and at[0] not in AXES[: volume.dim]:
            raise InputError(f'[analysis] {key}: there is no face "{at}" in 2D; take x_min, x_max, y_min or y_max')
    at_faces = adjacency(volume, comm).at_faces
    asked: list[tuple[str, tuple[int, ...], str]]
    asked = [(f"reach.{name}", (volume.names.index(name),), at) for name, at in options.reach.items()]
    asked += [("face", pores, options.face)] if options.face and pores else []
    for key, wanted, at in asked:
        if not at_faces[at][list(wanted)].any():
            there = [name for name, count in zip(volume.names, at_faces[at], strict=True) if count]
            which = " or ".join(volume.names[phase] for phase in wanted)
            raise InputError(
                f"[analysis] {key}: no voxel of {which} lies at {at}, where there are only {', '.join(there)}; "
                "name another face"
            )
    conducting = phases(options.deff) if options.deff else ()
    coarsening = _coarsening(volume.shape, options.deff_voxels)
    return Subject(volume, comm, options, case.image, pores, particles, face, reach, conducting, coarsening)


def with_deff(case: Case) -> Case:
    """The case, asked for effective diffusivities: where it names no phases, of pores and of those that transport.

    Raises:
        InputError: There are none of these.
    """
    pores = case.analysis.pores
    meant = tuple(
        phase.name
        for phase in case.physics.phases
        if phase.role == Role.TRANSPORT or (phase.name in pores if pores else phase.role == Role.SOURCE)
    )
    if not (case.analysis.deff or meant):
        raise InputError(
            f"{case.path}: no phase transports, and none counts as pores, so that there is no effective diffusivity to "
            'find; name phases in [analysis] deff = ["..."]'
        )
    return dataclasses.replace(case, analysis=dataclasses.replace(case.analysis, deff=case.analysis.deff or meant))


def _coarsening(shape: tuple[int, ...], most: int) -> int:
    """Edge of blocks of voxels of which there are no more than `most`."""
    edge = 1
    while math.prod(n // edge for n in shape) > most and edge < min(shape):
        edge += 1
    return edge
