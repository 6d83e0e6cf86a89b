"""Index maps that we number ourselves: which things a rank has, and which of them others own; and lists of numbers."""

from typing import Any

from dolfinx import cpp, graph
from mpi4py import MPI

from microlith.imaging.typing import Indices, Numbers

TAG = 4711  # of the messages that set an index map up, which newer versions of DOLFINx ask for


def index_map_of(comm: MPI.Intracomm, size: int, ghosts: Numbers, owners: Indices) -> cpp.common.IndexMap:
    """Index map of so many things of this rank and of ghosts, given by their global numbers and owners; collective."""
    try:
        return cpp.common.IndexMap(comm, size, ghosts, owners, TAG)
    except TypeError:  # DOLFINx 0.9
        return cpp.common.IndexMap(comm, size, ghosts, owners)


def compiled_lists(values: Indices, offsets: Indices | None = None) -> Any:
    """Lists of numbers as DOLFINx's compiled part takes them, rows of values or from offset to offset.

    Since 0.10 what Python makes of them is wrapped.
    """
    lists = graph.adjacencylist(values, offsets)
    return getattr(lists, "_cpp_object", lists)
