"""How a method decides: which phase each voxel of a block belongs to, with one phase favoured or not."""

from dataclasses import dataclass
from typing import Protocol

from microlith.imaging.segmentation.disk_volumes import DiskVolume, Layers
from microlith.imaging.segmentation.thresholds import Cuts, Favoured
from microlith.imaging.typing import Phases, Singles


class Decision(Protocol):
    """What a method has found out about the whole volume, ready to be used block by block."""

    @property
    def halo(self) -> int:
        """Layers around a block that it looks at."""

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """Index of the phase of each voxel of a block."""

    def margin(self, layers: Layers) -> Singles:
        """How far each voxel of a block is from belonging to another phase: 0 to 1, as Certainty.shift counts it."""


@dataclass(frozen=True, eq=False)
class ByThresholds:
    """Thresholds of the filtered grey values."""

    grey: DiskVolume
    cuts: Cuts
    halo: int = 0

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """See Decision."""
        return self.cuts.classed(self.grey.values()[layers.write], favoured)

    def margin(self, layers: Layers) -> Singles:
        """See Decision."""
        return self.cuts.margin(self.grey.values()[layers.write])
