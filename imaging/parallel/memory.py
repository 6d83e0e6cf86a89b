"""Memory that is free, and the sentence that says so where it is too little."""

from mpi4py import MPI

from microlith.imaging.parallel.large_arrays import available_memory


def memory_of_machine() -> float:
    """Bytes that are free on the machine of this rank; without communication."""
    return float(available_memory())


def free_memory(comm: MPI.Intracomm) -> float:
    """Bytes that are free on all machines together; collective."""
    machine = comm.Split_type(MPI.COMM_TYPE_SHARED)
    mine = int(memory_of_machine()) if machine.rank == 0 else 0
    machine.Free()
    return float(comm.allreduce(mine))


def shortage(what: str, needed: float, memory: float) -> str:
    """The beginning of a sentence, up to its semicolon.

    Args:
        what: Takes the memory, in the plural.
        needed: Bytes, and
        memory: those that are free.
    """
    return f"the {what} need about {needed / 1e9:.3g} GB of memory where {memory / 1e9:.3g} GB are free; "
