"""Labels so far with the model that explains the image, and what a round changes of them."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.deblurring.model import BlurModel
from microlith.imaging.deblurring.single import NONE, accepted, gains, parted
from microlith.imaging.typing import Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop

BOND = 9.0  # that all neighbours of the same phase save, per root of what a voxel's own grey value tells


@dataclass(frozen=True, eq=False)
class Trial:
    """Labels so far, and the model that explains the image best, given them."""

    grey: DiskVolume  # not smoothed
    labels: DiskVolume
    model: BlurModel
    edges: tuple[float, float, float]  # of a voxel, (z, y, x), per the smallest

    @property
    def bonds(self) -> Singles:
        """What neighbours of the same phase save, see BlurModel."""
        return self.model.bonds(BOND, self.edges)

    @property
    def halo(self) -> int:
        """Layers around a block on which what changes in a round depends."""
        return 2 * self.model.reach[0] + self.model.apart[0] + 1

    def block(self, low: int, high: int, own: slice) -> tuple[Phases, Singles, Singles, np.float32]:
        """Labels of some layers of a block with one more on all sides, and what `gains` takes."""
        label = self.labels.values()[low:high]
        model = self.model
        pull = model.pull(self.grey.values()[low:high], label, low)[own]
        padded = np.pad(label, 1, mode="edge")[own.start : own.stop + 2]
        return padded, np.ascontiguousarray(pull), model.mean.astype(np.float32), np.float32(model.own / model.noise**2)

    def changed(self, layers: Layers, barred: Phases | None = None) -> Phases:
        """Labels of a block after a round.

        Args:
            layers: The block, with a halo.
            barred: (z, y, x) of all layers that are read: see `gains`.
        """
        apart, last = self.model.apart, self.labels.shape[0]
        first, end = max(0, layers.first - apart[0]), min(last, layers.last + apart[0])
        own = slice(first - layers.low, end - layers.low)
        label, pull, mean, counts = self.block(layers.low, layers.high, own)
        best, gain = np.empty(pull.shape, np.uint8), np.empty(pull.shape, np.float32)
        none = np.full(pull.shape, NONE, np.uint8) if barred is None else np.ascontiguousarray(barred[own])
        gains(label, pull, mean, counts, self.bonds, none, best, gain)
        new = np.empty_like(best)
        accepted(np.ascontiguousarray(label[1:-1, 1:-1, 1:-1]), best, gain, apart, new)
        return new[layers.first - first : layers.last - first]

    def costs(self, layers: Layers) -> tuple[Singles, Singles]:
        """(z, y, x) how badly the labels explain the image, and how much neighbours differ; of all layers read.

        Both are right `reach` and a layer away from the ends of the block.
        """
        label = self.labels.values()[layers.read]
        misfit = self.model.misfit(self.grey.values()[layers.read], label, layers.low)
        found = np.empty(label.shape, np.float32)
        parted(np.pad(label, 1, mode="edge"), self.bonds, found)
        return misfit, found

    def cost(self, workshop: Workshop) -> float:
        """All of what `costs` tells; collective."""

        def of_layers(layers: Layers) -> float:
            return float(sum(one[layers.own].sum(dtype=np.float64) for one in self.costs(layers)))

        return float(sum(workshop.each(self.labels.shape, of_layers, self.model.reach[0] + 1)))


def differing(one: DiskVolume, other: DiskVolume, workshop: Workshop) -> int:
    """Voxels in which two volumes of labels differ; collective."""

    def counted(layers: Layers) -> int:
        return int((one.values()[layers.write] != other.values()[layers.write]).sum())

    return sum(workshop.each(one.shape, counted))
