"""What the benchmarks share: the discrete problem of a case at other element sizes, memory, and tables."""

import json
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import microlith  # noqa: F401 - first, as it says how MPI, PETSc and DOLFINx start

# isort: split
import numpy as np

from dolfinx import mesh as dmesh
from mpi4py import MPI

from microlith.imaging.options import MeshOptions
from microlith.meshing.mesh.phasemesh import PhaseMesh, face_tag
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.meshed import Meshed, mesh_of

MEBI = 1024.0**2


def meshed(case: Case, comm: MPI.Intracomm) -> tuple[Meshed, Stages]:
    """Mesh a case; collective."""
    stages = Stages()
    return mesh_of(case, case.physics.solved, stages, comm), stages


def box_mesh(unknowns: int, degree: int, comm: MPI.Intracomm) -> PhaseMesh:
    """Cube of 10 µm in tetrahedra of about so many unknowns: a ball in a medium, all solved for; fed at z_min."""
    n = max(round((unknowns ** (1 / 3) - 1) / degree), 1)
    ends, shared = [[0.0] * 3, [10.0] * 3], dmesh.GhostMode.shared_facet
    mesh = dmesh.create_box(comm, ends, [n] * 3, dmesh.CellType.tetrahedron, ghost_mode=shared)
    index_map = mesh.topology.index_map(3)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    middles = dmesh.compute_midpoints(mesh, 3, cells)
    phase = (np.linalg.norm(middles - [5.5, 5.0, 4.5], axis=1) < 3.0).astype(np.int32)
    facets = np.sort(dmesh.locate_entities_boundary(mesh, 2, lambda x: x[2] < 1e-9)).astype(np.int32)
    tags = dmesh.meshtags(mesh, 2, facets, np.full(len(facets), face_tag("z_min"), np.int32))
    return PhaseMesh(mesh, dmesh.meshtags(mesh, 3, cells, phase), tags, ("medium", "ball"), 1e-6, (10.0,) * 3)


def resized(options: MeshOptions, factor: float, **changes: Any) -> MeshOptions:
    """The same mesh options with the sizes that the case gives multiplied, and other fields changed."""
    size_max = None if options.size_max is None else options.size_max * factor
    size = {name: length * factor for name, length in options.size.items()}
    return replace(options, size=size, size_max=size_max, **changes)


@contextmanager
def peak_memory(comm: MPI.Intracomm) -> Iterator[list[float]]:
    """Peak resident memory within the block, over all ranks, in MiB: the only entry of the list, after the block.

    On Linux the peak is reset before; elsewhere it is that of the process so far.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        resettable = True
    except OSError:
        resettable = False
    found: list[float] = []
    yield found
    if resettable:
        line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmHWM"))
        peak = float(line.split()[1]) * 1024
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    found.append(comm.allreduce(peak) / MEBI)


class Stopwatch:
    """Wall time since it was made, after all ranks were ready."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        comm.Barrier()
        self._comm = comm
        self._start, self._work = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start

    @property
    def cpu_seconds(self) -> float:
        """Seconds of work so far, over all ranks; collective."""
        return self._comm.allreduce(time.process_time() - self._work)


class Table:
    """Rows printed as they come, on the first rank, and kept."""

    def __init__(self, columns: dict[str, str], comm: MPI.Intracomm) -> None:
        """Take column -> format, e.g. {"wall_s": "8.2f"}; the format's width is the column's."""
        self.rows: list[dict[str, Any]] = []
        self._columns = columns
        self._comm = comm

    def _width(self, column: str) -> int:
        spec = self._columns[column].lstrip("<>")
        return max(int(spec.split(".")[0].rstrip("sdfeg") or 0), len(column))

    def head(self) -> None:
        """Print the names of the columns."""
        names = [
            f"{name:{'<' if spec.startswith('<') else '>'}{self._width(name)}}" for name, spec in self._columns.items()
        ]
        say(self._comm, "  ".join(names))

    def add(self, **row: Any) -> None:
        """Keep a row and print it; missing and None entries show as a dash."""
        self.rows.append(row)
        cells = []
        for name, spec in self._columns.items():
            value = row.get(name)
            text = "-" if value is None else f"{value:{spec}}"
            cells.append(f"{text:{'<' if spec.startswith('<') else '>'}{self._width(name)}}")
        say(self._comm, "  ".join(cells))


def say(comm: MPI.Intracomm, *text: object) -> None:
    """Print on the first rank, at once."""
    if comm.rank == 0:
        print(*text, flush=True)


def write_json(path: Path | None, comm: MPI.Intracomm, content: dict[str, Any]) -> None:
    """Write results, if a file is wanted, from the first rank."""
    if path is not None and comm.rank == 0:
        path.write_text(json.dumps(content, indent=1) + "\n")


def interpolated(errors: Sequence[float], costs: Sequence[float], wanted: float) -> float | None:
    """Cost at which the error stays below `wanted`, log-log between the two runs around it; None if never reached.

    The costliest run that misses it counts: errors that dip by chance do not.
    """
    order = np.argsort(costs)
    e, c = np.log(np.asarray(errors)[order]), np.log(np.asarray(costs)[order])
    missing = np.flatnonzero(e > np.log(wanted))
    if len(missing) == 0:
        return float(np.exp(c[0]))
    last = missing[-1]
    if last == len(e) - 1:
        return None
    share = (e[last] - np.log(wanted)) / (e[last] - e[last + 1])
    return float(np.exp(c[last] + share * (c[last + 1] - c[last])))
