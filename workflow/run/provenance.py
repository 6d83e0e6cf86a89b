"""Where, when and from which image a run came about: its first lines, and entries of summary.json."""

import logging
import platform
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any, Protocol

from mpi4py import MPI

from microlith.imaging.errors import printable
from microlith.imaging.image.origin import Origin
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.schema.units import length_text

log = logging.getLogger(__name__)
MOST_LABELS = 256  # that are counted one by one in summary.json


class Imaged(Protocol):
    """An image, of labels or of grey values."""

    @property
    def origin(self) -> Origin:
        """Where it comes from."""

    @property
    def dim(self) -> int:
        """Number of its dimensions."""


@dataclass(frozen=True)
class Provenance:
    """What makes a run one of its own."""

    started: str  # date and time with their zone, ISO 8601
    host: str
    ranks: int
    origin: Origin = field(default_factory=Origin)  # of the image
    checksum: str = ""  # SHA-256 of its files, one after the other
    clock: float = field(default_factory=time.perf_counter)  # when it started

    @classmethod
    def begin(cls, comm: MPI.Intracomm) -> "Provenance":
        """Start now, and say so."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        found = cls(now, platform.node(), comm.size)
        ranks = f"{comm.size} {'rank' if comm.size == 1 else 'ranks'}"
        log.info("microlith %s, %s, on %s, %s", version("microlith"), now, printable(found.host), ranks)
        return found

    def of_image(self, volume: Imaged, comm: MPI.Intracomm) -> "Provenance":
        """The same with the image, of which it says what it is; collective."""
        origin = volume.origin
        found = replace(self, origin=origin, checksum=on_first_rank(comm, origin.checksum))
        kind = "pixels" if volume.dim == 2 else "voxels"
        shape = " x ".join(str(n) for n in origin.shape[::-1])
        edges = " x ".join(length_text(edge) for edge in origin.voxel_size[::-1])
        log.info("image %s: %s %s of %s (from %s)", printable(origin.path, 300), shape, kind, edges, origin.size_source)
        if found.checksum:
            files = f" of {len(origin.files)} files" if len(origin.files) > 1 else ""
            log.info("its SHA-256%s: %s", files, found.checksum)
        return found

    def run_entries(self) -> dict[str, Any]:
        """For summary.json: when, where, how long so far."""
        seconds = time.perf_counter() - self.clock
        return {"started": self.started, "host": self.host, "ranks": self.ranks, "total_s": seconds}

    def image_entries(self) -> dict[str, Any]:
        """For summary.json: the image as the file has it, before crop and coarsen."""
        origin = self.origin
        labels = dict(origin.labels) if len(origin.labels) <= MOST_LABELS else None
        names = [str(path) for path in origin.files]
        return {
            "files": [printable(name, 4096) for name in (names if len(names) <= 2 else [names[0], names[-1]])],
            "number_of_files": len(names),
            "sha256": self.checksum or None,
            "shape": list(origin.shape),
            "type": origin.dtype,
            "voxel_size_m": list(origin.voxel_size),
            "voxel_size_from": origin.size_source,
            "number_of_labels": len(origin.labels),
            "voxels_of_labels": labels,
            "coarsening": list(origin.coarsening),
        }
