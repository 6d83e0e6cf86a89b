"""Rounds in which columns get the labels that explain the image, and how doubtful these are in the end."""

from collections.abc import Callable
from math import sqrt

import numpy as np

from microlith.imaging.columns.model import TRUNCATE, Model
from microlith.imaging.columns.sweep import gaps, sweep
from microlith.imaging.columns.volumes import Volumes
from microlith.imaging.deblurring.gaussian import blurred
from microlith.imaging.image.passes import share
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Phases, Singles
from microlith.imaging.volumes.disk_volumes import VALUES, DiskVolume, Layers, Workshop

LOOSE = 0.65  # of the bond, that counts for what is doubtful: columns beside one may change with it
OTHERWISE = 5  # hundredths of a shift, from which a voxel belongs to the phase that its region says otherwise
PERCENT = 100  # of a margin, as it is stored


def pulled(volumes: Volumes, model: Model, workshop: Workshop) -> None:
    """What the image has more than what is expected; collective."""

    def pull(layers: Layers) -> Singles:
        grey, seen = volumes.grey.values()[layers.write], volumes.seen.values()[layers.write]
        widths = (0.0, model.blur, model.blur)
        return blurred(grey - blurred(seen, widths, TRUNCATE), widths, TRUNCATE)

    workshop.fill(volumes.pull, pull)


def swept(volumes: Volumes, model: Model, row: int, column: int, workshop: Workshop) -> None:
    """Columns of some rows anew, `model.apart` from each other from this row and column on; collective."""
    apart = model.apart
    bond, change = np.float32(model.bond) * model.parts, np.float32(model.change) * model.parts

    def work(first: int, last: int) -> None:
        probable, seen, pull = _rows(volumes, first, last)
        state = np.array(volumes.state.values()[:, first:last])
        start = (row - first) % apart
        terms, own = _terms(model), np.float32(model.own)
        sweep(probable, seen, state, pull, model.states.phase, *terms, own, bond, change, start, column, apart)
        targets = (*volumes.probable, volumes.seen, volumes.state)
        for volume, new in zip(targets, (*probable[:, :, 1:-1], seen, state), strict=True):
            target = volume.values(writable=True)
            target[:, first + start : last : apart, column::apart] = new[:, start::apart, column::apart]
            target.flush()  # type: ignore[attr-defined]

    _by_rows(volumes.grey.shape, workshop, work)


def gapped(volumes: Volumes, model: Model, found: tuple[DiskVolume, ...], workshop: Workshop) -> None:
    """From which shift on each voxel belongs to each phase; collective.

    A field that favours a phase by h moves a plane interface by h times its noise squared over its contrast squared and
    what the blur leaves of it, twice the root of pi standard deviations; thresholds moved by a shift of the contrast do
    so by the root of two pi. So a gap counts as the root of two times this variance per squared contrast. Where a
    region says otherwise, what it says is doubtful, too.
    """
    other = 1 - np.eye(model.states.phases, dtype=np.float32)
    bond, change = np.float32(LOOSE * model.bond) * other, np.float32(model.change) * other
    unit = sqrt(2.0) * (model.noise / (model.contrast or 1.0)) ** 2

    def work(first: int, last: int) -> None:
        probable, seen, pull = _rows(volumes, first, last)
        gap = np.empty((len(found), *pull.shape), np.float32)
        gaps(probable, seen, pull, model.states.phase, *_terms(model), np.float32(model.own), bond, change, gap)
        said, labels = volumes.said.values()[:, first:last], probable[:, :, 1:-1].argmax(axis=0)
        for k, volume in enumerate(found):
            shift = np.clip(np.ceil(PERCENT * unit * gap[k]), 1.0, 254.0)
            shift = np.where(said == k, np.minimum(shift, OTHERWISE), shift)
            target = volume.values(writable=True)
            target[:, first:last] = np.where(labels == k, 0.0, shift)
            target.flush()  # type: ignore[attr-defined]

    _by_rows(volumes.grey.shape, workshop, work)


def _by_rows(shape: tuple[int, int, int], workshop: Workshop, work: Callable[[int, int], None]) -> None:
    """Do the work on blocks of rows, which are dealt to the ranks; collective."""

    def all_of_it() -> None:
        first, end = share(shape[1], workshop.comm.rank, workshop.comm.size)
        step = max(1, VALUES // (shape[0] * shape[2]))
        for row in range(first, end, step):
            work(row, min(row + step, end))

    together(workshop.comm, all_of_it)


def _rows(volumes: Volumes, first: int, last: int) -> tuple[Phases, Singles, Singles]:
    """Probabilities of some rows with those beside them, what is expected there, and what the image has more."""
    rows = volumes.grey.shape[1]
    before, behind = max(first - 1, 0), min(last + 1, rows)
    beyond = (first - 1 < 0, last + 1 > rows)
    near = np.stack([volume.values()[:, before:behind] for volume in volumes.probable])
    probable = np.pad(near, ((0, 0), (0, 0), beyond, (0, 0)), mode="edge")
    return probable, np.array(volumes.seen.values()[:, first:last]), np.array(volumes.pull.values()[:, first:last])


def _terms(model: Model) -> tuple[Singles, Singles, Singles]:
    """Means, weights and logarithms of the states, as `sweep` takes them."""
    looks = model.looks
    variance = looks.variance if not model.blur else np.full_like(looks.variance, model.noise**2)
    log = 0.5 * np.log(variance / variance.max())
    return looks.mean.astype(np.float32), (1 / variance).astype(np.float32), log.astype(np.float32)
