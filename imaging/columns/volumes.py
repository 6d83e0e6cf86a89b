"""What is worked on while labels are found column by column, in files."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from microlith.imaging.columns.appearance import States
from microlith.imaging.columns.sweep import SURE
from microlith.imaging.typing import Indices, Phases
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop


@dataclass(frozen=True, eq=False)
class Volumes:
    """Grey values, and what is found of them."""

    grey: DiskVolume  # not smoothed
    said: DiskVolume  # uint8, phases of the regions
    pull: DiskVolume  # float32, see `sweep`
    probable: tuple[DiskVolume, ...]  # of each phase, uint8: in parts of 255
    seen: DiskVolume  # float32, expected brightness
    state: DiskVolume  # int32, the most probable

    @property
    def own(self) -> tuple[DiskVolume, ...]:
        """Those of these labels alone."""
        return *self.probable, self.seen, self.state


def new_volumes(
    grey: DiskVolume, said: DiskVolume, pull: DiskVolume, name: str, phases: int, workshop: Workshop
) -> Volumes:
    """Volumes for labels, not yet filled; collective.

    Args:
        grey: The volume, not smoothed.
        said: uint8, phases of the regions.
        pull: float32, a volume to use, for all labels that are tried.
        name: Head of their names.
        phases: How many.
        workshop: Ranks and folder.
    """
    return Volumes(
        grey,
        said,
        pull,
        tuple(workshop.new(f"{name}probable-{k}", grey.shape, np.uint8) for k in range(phases)),
        workshop.new(f"{name}seen", grey.shape, np.float32),
        workshop.new(f"{name}state", grey.shape, np.int32),
    )


def begin(volumes: Volumes, states: States, labels: DiskVolume, workshop: Workshop) -> None:
    """States and probabilities where labels, uint8 phases, are taken for sure; collective."""

    def first(layers: Layers) -> Indices:
        behind = labels.values()[layers.first : layers.last + states.depth]
        return states.of(behind, layers.last - layers.first)

    workshop.fill(volumes.state, first)
    for k, volume in enumerate(volumes.probable):
        workshop.fill(volume, partial(_sure, labels, k))


def _sure(said: DiskVolume, phase: int, layers: Layers) -> Phases:
    """Probabilities of a phase, where labels are taken for sure."""
    return np.where(said.values()[layers.write] == phase, SURE, 0).astype(np.uint8)
