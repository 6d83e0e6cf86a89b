"""What a segmentation file asks for, validated and in SI."""

from dataclasses import dataclass
from pathlib import Path

from microlith.imaging.options import ImageSource
from microlith.imaging.segmentation.filters import Filter
from microlith.imaging.segmentation.options import SegmentOptions
from microlith.imaging.volumes.outside import Wanted


@dataclass(frozen=True)
class Request:
    """The segmentation file as understood."""

    path: Path  # of the file
    title: str
    image: ImageSource
    few_is_grey: bool  # whether an image of few distinct values is one of greys
    outside: Wanted  # grey value of what is no part of the sample, or whether it is looked for
    rescale: dict[str, float]  # axis -> wanted edge of the voxels, m
    filters: tuple[Filter, ...]  # in their order
    options: SegmentOptions
