"""Labels found through probabilities, from nearly equal ones on, while the temperature falls: mean field annealing.

Labels that change one at a time do not get far from where they begin: a thin crack that thresholds take for a broader
layer of a phase between has to become thinner and darker at once. Probabilities change by little everywhere. At first
neighbours do not count, and the expected grey values come close to an image without its blur; then the probabilities
part, and neighbours count more and more. The mean field of Markov random fields is that of Zhang (1992).
"""

import numpy as np

from microlith.imaging.deblurring.model import BlurModel
from microlith.imaging.deblurring.soft import WHOLE, softened
from microlith.imaging.typing import Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop

# Chosen on phantoms of fine structures
ROUNDS = 8
OPEN = 0.8  # share of the probability that all phases have alike in the beginning
# First and last temperature, per half a voxel's own squares of the least contrast
HOT, COLD = 0.3, 0.05
BOUND = 0.6  # share of the bonds in the end


def anneal(grey: DiskVolume, labels: DiskVolume, model: BlurModel, bond: Singles, workshop: Workshop) -> None:
    """Change labels to the most probable ones; collective.

    Args:
        grey: The volume, not smoothed.
        labels: To begin with; takes the new ones.
        model: What the image looks like.
        bond: (3, 3, 3) what neighbours of the same phase save.
        workshop: Ranks and folder.
    """
    mean = model.mean.astype(np.float32)
    shares, others = (
        [workshop.new(f"share-{set_}-{k}", grey.shape, np.uint8) for k in range(len(mean))] for set_ in range(2)
    )
    alike = OPEN / len(mean)
    levels = np.rint(WHOLE * np.array([alike, alike + 1 - OPEN])).astype(np.uint8)
    for k, volume in enumerate(shares):
        workshop.fill(volume, lambda layers, k=k: levels[(labels.values()[layers.write] == k).astype(np.uint8)])  # type: ignore[misc]
    own, all_own = np.float32(model.own / model.noise**2), np.float32(1 / model.noise**2)
    unit = 0.5 * float(own) * float(np.diff(np.sort(mean)).min()) ** 2
    for temperature, part in zip(np.geomspace(HOT, COLD, ROUNDS), np.linspace(0, BOUND, ROUNDS), strict=True):
        heat, tied = np.float32(unit * temperature), bond * np.float32(part)

        def changed(layers: Layers, heat: np.float32 = heat, tied: Singles = tied) -> None:
            share = np.stack([volume.values()[layers.read] for volume in shares])  # noqa: B023
            expected = _expected(share, mean)
            inner = layers.own
            pull = model.pull_of(grey.values()[layers.read], expected, layers.low)[inner]
            padded = np.pad(share, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")[:, inner.start : inner.stop + 2]
            found = np.empty((len(mean), *pull.shape), np.uint8)
            softened(
                np.ascontiguousarray(padded), np.ascontiguousarray(expected[inner]), np.ascontiguousarray(pull),
                mean, own, all_own, tied, heat, found,
            )  # fmt: skip
            for volume, new in zip(others, found, strict=True):  # noqa: B023
                target = volume.values(writable=True)
                target[layers.write] = new
                target.flush()  # type: ignore[attr-defined]

        workshop.each(grey.shape, changed, 2 * model.reach[0] + 1)
        shares, others = others, shares

    def likeliest(layers: Layers) -> Phases:
        found = np.stack([volume.values()[layers.write] for volume in shares]).argmax(axis=0)
        return np.asarray(found.astype(np.uint8))

    workshop.fill(labels, likeliest)
    for volume in (*shares, *others):
        workshop.remove(volume)


def _expected(share: Phases, mean: Singles) -> Singles:
    """(z, y, x) grey values; summed phase by phase, so that they do not depend on the block."""
    found: Singles = np.zeros(share.shape[1:], np.float32)
    for one, grey in zip(share, mean, strict=True):
        found += one * np.float32(grey / WHOLE)
    return found
