"""Area of the surfaces of balls and cylinders that an image shows, and which faces of its voxels belong to them."""

import math
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import Slab
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.recognition.rod_areas import rod_areas
from microlith.imaging.recognition.rod_search import rods_in
from microlith.imaging.recognition.tubes import rods_around
from microlith.imaging.shapes.candidates import deep_places, directions
from microlith.imaging.shapes.found import Balls, Lattice, beside, held, lattice_of, no_balls, sizes
from microlith.imaging.shapes.recognised import recognised, sets_of
from microlith.imaging.shapes.rods import Rods, no_rods
from microlith.imaging.typing import Array, Flags, Numbers

SIGHTS, MOST = {2: 250, 3: 75}, 60000  # directions per radius (squared), in shortest edges, and at most
GRAZED = 0.35  # longest edges by which voxels of a ball lie beyond it where it is seen past another
BEYOND = 0.15  # the same of those whose faces are its own
SURE = 0.002  # of the area, standard error that is left
TOUCHING = 3.0  # standard errors of the radii of two balls by which they overlap and are still taken to touch
SIDE = 0.1  # longest edges by which the line between two phases beside a ball may lie to either side


@dataclass(frozen=True, eq=False)
class ShapeSurfaces:
    """The part of the surfaces between phases that balls and cylinders have."""

    balls: Balls
    rods: Rods
    between: Array  # (phases, phases) m^2 (m in 2D); symmetric
    error: Array  # (phases, phases) m^2 (m in 2D), standard error that the voxels leave open
    error_of_phase: Array  # (phases,) the same of all of a phase's surface


def shape_surfaces(volume: LabelVolume, image: LabelImage | None, comm: MPI.Intracomm) -> ShapeSurfaces:
    """Look for balls and cylinders, and find the area of their surfaces; collective, on the first rank.

    Args:
        volume: The image.
        image: The whole of it, on the first rank.
        comm: All ranks.
    """
    phases = len(volume.names)

    def found() -> ShapeSurfaces:
        assert image is not None
        lattice = lattice_of(image)
        sets = sets_of(lattice, phases)
        deep = [deep_places(lattice, of) for of in sets]
        balls = recognised(lattice, phases, sets, deep)
        rods = rods_in(lattice, sets, deep, balls, phases) if lattice.dim == 3 else no_rods(phases)
        parts = [_areas_of_balls(lattice, balls, phases)]
        if len(rods):
            filled, rods, tubes = rods_around(lattice, rods, phases)
            parts.append(_areas_of_rods(lattice, balls, rods, phases))
            if len(tubes):
                parts.append(_areas_of_rods(filled, no_balls(phases + 1), tubes, phases))
                rods = rods.and_of_fewer_phases(tubes)
        unit = max(volume.voxel_size) ** (volume.dim - 1)
        between, error, of_phase = (unit * np.array(part) for part in zip(*parts, strict=True))
        return ShapeSurfaces(
            balls, rods, between.sum(axis=0), np.linalg.norm(error, axis=0), np.linalg.norm(of_phase, axis=0)
        )

    return on_first_rank(comm, found)


def no_shape_surfaces(phases: int) -> ShapeSurfaces:
    """Of an image without balls and cylinders."""
    none = np.zeros((phases, phases))
    return ShapeSurfaces(no_balls(phases), no_rods(phases), none, none, np.zeros(phases))


def _areas_of_rods(lattice: Lattice, balls: Balls, rods: Rods, phases: int) -> tuple[Array, Array, Array]:
    """The same of cylinders as `_areas_of_balls` gives of balls."""
    found = rod_areas(lattice, rods, balls, GRAZED, SIDE)
    between, alike, alone = (part[:phases, :phases] for part in (found.between, found.alike, found.alone))
    alike = np.hypot(alike, SURE * between)
    of_phase = np.hypot(alike.sum(axis=1), found.of_phase[:phases])
    return between, np.hypot(alike, alone), of_phase


def _areas_of_balls(lattice: Lattice, balls: Balls, phases: int) -> tuple[Array, Array, Array]:
    """Areas between phases (phases, phases), their standard errors, and those of whole phases (phases,), longest edges.

    Radii are uncertain within the voxels' gap, those of equal balls alike: all larger or all smaller. Where middles are
    uncertain too, which leaves the area of a cap nearly as it is, the balls' errors have nothing to do with each other.
    Nor have those of the lines between two phases beside a ball, which a phase that has all of the ball does not see.
    """
    out, alone, of_phase = np.zeros((3, phases, phases)), np.zeros((phases, phases)), np.zeros(phases)
    for number in range(len(balls)):
        for row, sign in enumerate((0.0, 1.0, -1.0)):
            place = balls.place.copy()
            place[:, 3] += sign * balls.gap
            others = _as_touching(balls, number) if row == 0 else place
            area = _area(lattice, balls, place, number, phases, others)
            out[row] += area
            if row == 0:
                open_still, radius = balls.loose[number] / place[number, 3], place[number, 3]
                alone += (area * open_still) ** 2 + (SIDE * _rim(area, radius, lattice)) ** 2
                for ends in (area.sum(axis=0), area.sum(axis=1)):
                    of_phase += (ends * open_still) ** 2 + (SIDE * _rim(ends, radius, lattice)) ** 2
    both: Array = out + out.swapaxes(1, 2)
    bent = both[1:].mean(axis=0) - both[0]
    alike = np.sqrt(((both[1] - both[2]) / 2) ** 2 + bent**2 + (SURE * both[0]) ** 2)
    return both[0], np.hypot(alike, np.sqrt(alone + alone.T)), np.hypot(alike.sum(axis=1), np.sqrt(of_phase))


def _as_touching(balls: Balls, number: int) -> Array:
    """Balls (n, 4), those smaller that overlap one by no more than voxels leave open: they are taken to touch it."""
    place = balls.place.copy()
    apart = np.linalg.norm(place[:, :3] - place[number, :3], axis=1) - place[number, 3] - place[:, 3]
    open_still = TOUCHING * (balls.gap + balls.gap[number])
    touching = (apart < 0) & (apart > -open_still)
    touching[number] = False
    place[touching, 3] += apart[touching]
    return place


def _area(lattice: Lattice, balls: Balls, place: Array, number: int, phases: int, others: Array) -> Array:
    """Area (phases, phases) of the surface of a ball, by the phase within and the one without."""
    from microlith.imaging.shapes.loops import count_exposed  # numba, late as in `path_lengths`

    of = balls.of[number]
    near = beside(place, number, 4.0)
    same = near & ~(balls.of & ~of).any(axis=1)
    apart = near & ~(balls.of & of).any(axis=1)
    cells, radius = place[number, 3] / lattice.shortest, place[number, 3]
    count = int(min(MOST, SIGHTS[lattice.dim] * cells ** (lattice.dim - 1)))
    seen: Numbers = np.zeros((phases, phases), np.int64)
    count_exposed(
        lattice.phase,
        of,
        lattice.size,
        lattice.dim,
        directions(lattice.dim, count),
        place[number],
        others[same],
        others[apart],
        balls.of[apart],
        GRAZED,
        seen,
    )
    whole = 4 * math.pi * radius**2 if lattice.dim == 3 else 2 * math.pi * radius
    return np.asarray(seen / count * whole)


def _rim(area: Array, radius: float, lattice: Lattice) -> Array:
    """Length (phases, phases) of the rims of parts of a ball's surface beside each other, if each part is a cap.

    In 2D the number of their ends, of which the longest edge is the length.
    """
    whole = area.sum()
    if lattice.dim == 2:
        return np.where((area > 0) & (area < whole), 2.0, 0.0)
    cap = np.minimum(area, whole - area)
    return np.sqrt(np.maximum(4 * math.pi * cap - (cap / radius) ** 2, 0.0))


class FacesOfShapes:
    """Tells which faces between the voxels of a slab belong to the surface of a ball or cylinder."""

    def __init__(self, volume: LabelVolume, balls: Balls, rods: Rods, slab: Slab) -> None:
        from microlith.imaging.shapes.rod_loops import hold as hold_rods  # numba, late as in `path_lengths`

        self._flat = slab.phase.ravel()
        shape = (1,) * (3 - volume.dim) + slab.phase.shape
        slack = BEYOND
        self._sets: list[tuple[Flags, Flags]] = []
        for of in np.unique(balls.of, axis=0) if len(balls) and not slab.empty else ():
            mine = balls.place[(balls.of == of).all(axis=1)]
            hold = held(shape, slab.window[0][0], mine, sizes(volume), volume.dim, slack)
            self._sets.append((of, hold.ravel()))
        for of in np.unique(rods.of, axis=0) if len(rods) and not slab.empty else ():
            hold = np.zeros(shape, bool)
            hold_rods(rods.rows_of(of), sizes(volume), slab.window[0][0], slack, hold)
            self._sets.append((of, hold.ravel()))

    def among(self, here: Numbers, there: Numbers) -> Flags:
        """Which of the faces between some voxels and others, places in the flattened slab, do."""
        out = np.zeros(len(here), bool)
        for of, hold in self._sets:
            one, other = of[self._flat[here]], of[self._flat[there]]
            out |= (one & ~other & hold[here]) | (other & ~one & hold[there])
        return out
