"""Regions that are drawn as a second label image."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.labels import read_region_labels
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.parallel.large_arrays import count_values, renamed
from microlith.imaging.typing import Numbers
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.regions.shapes import LabelField, LabelRegion, Shape
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.drawn_regions import label_field
from microlith.workflow.prepare.region_shares import label_counts, solved_flags

log = logging.getLogger(__name__)
MOST_REGIONS = 254  # of one label image: a byte for each voxel, and one value for what is in no region
MARGIN = 2  # voxels that a rank looks beyond its cells


@dataclass(frozen=True, eq=False)
class Expanded:
    """All regions of a case with one label each."""

    shapes: dict[str, Shape]
    fields: dict[str, LabelField]  # what stands behind each LabelRegion, around the cells of this rank
    shares: dict[str, float]  # of each LabelRegion: what part of its voxels is solved for
    counts: dict[str, Numbers]  # of each LabelRegion: its voxels in each phase, (phases,)


def expanded(case: Case, volume: LabelVolume, mesh: PhaseMesh, comm: MPI.Intracomm) -> Expanded:
    """All regions with one label each, and what stands behind those of label images; collective.

    Args:
        case: With its regions.
        volume: The segmented image.
        mesh: The mesh of the solved phases.
        comm: All ranks.

    Raises:
        InputError: A label image can't be read, does not fit, or lacks the label.
    """
    found = Expanded({}, {}, {}, {})
    for name, shape in case.regions.items():
        if not isinstance(shape, LabelRegion):
            found.shapes[name] = shape
            continue
        regions = _region_volume(case, name, shape, volume, comm)
        window = _window(volume, mesh)
        index = regions.read(window).phase
        pixel = np.array(volume.pixel) * (volume.unit / mesh.unit)
        counts, solved = label_counts(volume, regions, comm), solved_flags(case, shape)
        keys = _names(case, name, shape, regions.names[1:])
        for i, (label, key) in enumerate(zip(regions.names[1:], keys, strict=True), 1):
            found.shapes[key] = replace(shape, label=int(label))
            found.fields[key] = label_field(index == i, pixel, window, volume.shape)
            if shape.in_phase is None:  # else all of it is solved for
                found.shares[key] = float(counts[i, solved].sum() / max(counts[i].sum(), 1))
                found.counts[key] = counts[i]
    return found


def _names(case: Case, name: str, shape: LabelRegion, labels: tuple[str, ...]) -> tuple[str, ...]:
    """What the region of each label is called.

    Raises:
        InputError: Another region of the case has such a name.
    """
    if shape.label is not None:
        return (name,)
    names = tuple(f"{name}_{label}" for label in labels)
    for taken in names:
        if taken in case.regions:
            raise InputError(
                f"{case.path}: [regions.{name}] labels: each of its labels becomes a region, of which one is called "
                f"{taken}, as another region of the case is; rename [regions.{name}] or [regions.{taken}]"
            )
    return names


def check_labels(case: Case, volume: LabelVolume, comm: MPI.Intracomm) -> None:
    """Read all label images of regions and see that each region meets a solved phase; collective.

    Raises:
        InputError: A label image can't be read, does not fit, or lacks the label; a region misses the solved phases.
    """
    for name, shape in case.regions.items():
        if isinstance(shape, LabelRegion):
            regions = _region_volume(case, name, shape, volume, comm, tell=log.warning)
            _names(case, name, shape, regions.names[1:])
            counts = label_counts(volume, regions, comm)[:, solved_flags(case, shape)].sum(axis=1)
            for label, count in zip(regions.names[1:], counts[1:], strict=True):
                if count == 0:
                    raise InputError(
                        f"{case.path}: [regions.{name}] labels: no pixel of label {label} in {shape.path} lies in "
                        f"{shape.in_phase or 'a transport phase'}; move or remove it"
                    )


def _region_volume(
    case: Case,
    name: str,
    shape: LabelRegion,
    volume: LabelVolume,
    comm: MPI.Intracomm,
    tell: Callable[[str], object] | None = None,
) -> LabelVolume:
    """The wanted labels of a label image as phases 1, 2, ... and all else as phase 0; collective.

    Rank 0 reads the label image, which has no description like that of the phases, and sends the windows.
    """
    return volume_of(on_root(comm, partial(_read, case, name, shape, volume, tell)), comm)


def _read(
    case: Case, name: str, shape: LabelRegion, volume: LabelVolume, tell: Callable[[str], object] | None
) -> LabelImage:
    key = f"{case.path}: [regions.{name}] labels"
    labels = read_region_labels(shape.path, case.image, volume.shape, key, volume.stored_shape, tell)
    found = count_values(labels) or {}
    there = [label for label in found if label != 0]
    if shape.label is not None and shape.label not in there:
        raise InputError(f"{key}: no pixel of {shape.path} has the label {shape.label}; correct the label")
    if not there:
        raise InputError(f"{key}: all pixels of {shape.path} are 0; label the regions 1, 2, ...")
    wanted = there if shape.label is None else [shape.label]
    if len(wanted) > MOST_REGIONS:
        raise InputError(
            f"{key}: {shape.path} holds {len(wanted)} labels, of which each would be a region; name the ones you want "
            f"by label = ..., or keep at most {MOST_REGIONS}"
        )
    index = renamed(labels, dict.fromkeys(found, 0) | {label: i for i, label in enumerate(wanted, 1)})
    return LabelImage(index, ("0", *map(str, wanted)), volume.voxel_size, volume.stored_shape)


def _window(volume: LabelVolume, mesh: PhaseMesh) -> Window:
    """The voxels around the cells of this rank."""
    x = mesh.mesh.geometry.x[:, : volume.dim]
    if len(x) == 0:
        return volume.empty_window
    scale = mesh.unit / volume.unit  # a mesh of finer voxels has a smaller unit
    return volume.window(x.min(axis=0) * scale, x.max(axis=0) * scale, MARGIN)
