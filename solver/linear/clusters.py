"""Connected clusters of unknowns by the strength of what couples them: nested, from the strongest couplings down.

A cluster is *stiff* where diffusion within it is so fast that its rows of M + γK have lost, in rounding, what it stores
and what it exchanges with the rest: these are, to rounding, in the null space of what a computer holds of the matrix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.solver.linear.differences import Differences

STEP = 1e-3  # from one threshold of strength to the next: no cluster that is stiffer than this is missed


@dataclass(frozen=True, eq=False)
class Clusters:
    """Unknowns joined by couplings of some strength."""

    of: NDArray[np.intp]  # (owned + ghosts,) number of the cluster, from 0 on each rank
    shared: NDArray[np.intp]  # (clusters of this rank,) number among those on several ranks; -1: on this rank alone
    shared_count: int  # the same on all ranks
    count: int  # over all ranks
    comm: MPI.Intracomm

    def total(self, values: Array) -> Array:
        """Sums over each cluster, (clusters of this rank,), of values (owned,); collective."""
        sums = np.bincount(self.of[: len(values)], values, minlength=len(self.shared))
        return self._over_ranks(sums.astype(np.float64), MPI.SUM)

    def largest(self, values: Array | Flags) -> Array:
        """Largest over each cluster, (clusters of this rank,), of values >= 0 (owned,); collective."""
        found = np.zeros(len(self.shared))
        np.maximum.at(found, self.of[: len(values)], values)
        return self._over_ranks(found, MPI.MAX)

    def numbered(self, chosen: Flags) -> tuple[Numbers, int]:
        """Numbers over all ranks, (clusters of this rank,), of the chosen clusters, and how many there are; collective.

        Those that are not chosen have -1.
        """
        apart = chosen & (self.shared < 0)
        together = np.zeros(self.shared_count, np.int64)
        together[self.shared[chosen & (self.shared >= 0)]] = 1
        self.comm.Allreduce(MPI.IN_PLACE, together, op=MPI.MAX)
        before = int(together.sum()) + (self.comm.exscan(int(apart.sum()), op=MPI.SUM) or 0)
        number = np.full(len(chosen), -1, np.int64)
        number[apart] = before + np.arange(int(apart.sum()))
        on_several = chosen & (self.shared >= 0)
        number[on_several] = (np.cumsum(together) - 1)[self.shared[on_several]]
        return number, int(together.sum()) + self.comm.allreduce(int(apart.sum()), op=MPI.SUM)

    def _over_ranks(self, own: Array, op: MPI.Op) -> Array:
        """Sums or largest values of clusters on several ranks, from those of this rank."""
        there = self.shared >= 0
        every = np.zeros(self.shared_count)
        # A rank may have pieces of a cluster that are joined on other ranks only.
        (np.add if op == MPI.SUM else np.maximum).at(every, self.shared[there], own[there])
        self.comm.Allreduce(MPI.IN_PLACE, every, op=op)
        own[there] = every[self.shared[there]]
        return own


def clusters(graph: Differences, threshold: float) -> Clusters:
    """Clusters by couplings of at least a threshold; collective, and nothing gathers the unknowns.

    Args:
        graph: Whose off-diagonal entries couple.
        threshold: Absolute.
    """
    size = graph.owned + graph.ghost_count
    strong = np.abs(graph.values) >= threshold
    count, local = _connected(graph.rows[strong], graph.columns[strong], size)
    start = graph.comm.exscan(count, op=MPI.SUM) or 0
    numbers = (start + local).astype(np.int64)
    # A ghost has two numbers, its own here and that of its owner: these are one.
    at_owner = graph.with_ghosts(numbers[: graph.owned].astype(np.float64))[graph.owned :].astype(np.int64)
    pairs = np.unique(np.stack([numbers[graph.owned :], at_owner], axis=1), axis=0)
    pairs = np.concatenate(graph.comm.allgather(pairs))
    known, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(pairs.shape)
    shared_count, merged = _connected(places[:, 0], places[:, 1], len(known))
    shared = np.full(count, -1, np.intp)
    here = (known >= start) & (known < start + count)
    shared[known[here] - start] = merged[here]
    alone = graph.comm.allreduce(int((shared < 0).sum()), op=MPI.SUM)
    return Clusters(local, shared, shared_count, alone + shared_count, graph.comm)


def nested_clusters(graph: Differences) -> list[Clusters]:
    """Clusters at falling thresholds of strength, the last of them at none: all that is joined; collective."""
    everything = clusters(graph, 0.0)
    strongest = graph.comm.allreduce(float(np.abs(graph.values).max(initial=0.0)), op=MPI.MAX)
    levels = []
    threshold = STEP * strongest
    while threshold > 0.0:
        level = clusters(graph, threshold)
        if level.count == everything.count:
            break
        levels.append(level)
        threshold *= STEP
    return [*levels, everything]


@dataclass(frozen=True, eq=False)
class StiffClusters:
    """Indicator functions of stiff clusters that are linearly independent, as labels level by level."""

    labels: tuple[NDArray[np.intp], ...]  # per level (owned + ghosts,): number of the indicator; -1: none here
    count: int


def stiff_clusters(
    levels: list[Clusters], graph: Differences, gamma: float, storage: Array, diagonal: Array, threshold: float
) -> StiffClusters:
    """Those clusters whose mean M + γK has lost in rounding; collective.

    Args:
        levels: Nested, the finest first.
        graph: K.
        gamma: γ.
        storage: (owned,) M 1.
        diagonal: (owned,) of M + γK.
        threshold: What a cluster stores and exchanges, per sum of its diagonal, below which it counts as stiff.
    """
    owned = graph.owned
    sizes = [level.total(np.ones(owned))[level.of] for level in levels]  # of each unknown's cluster
    chosen = []
    inner = diagonal.copy()  # of a cluster in a larger one what it exchanges, shared out among its unknowns
    for k, level in enumerate(levels):
        across = level.of[graph.rows] != level.of[graph.columns]
        leaves = np.bincount(graph.rows[across], np.abs(graph.values[across]), minlength=owned)
        outer = level.total(storage + gamma * (graph.sums + leaves))
        weak = outer < threshold * level.total(inner)
        if k + 1 < len(levels):  # the same cluster may be one at several thresholds: the last counts
            weak &= level.largest((sizes[k] < sizes[k + 1])[:owned]) > 0
        chosen.append(weak)
        here = weak[level.of[:owned]]
        inner[here] = (outer[level.of[:owned]] / sizes[k][:owned])[here]
    labels, count = [], 0
    for level, flags in zip(levels, _independent(levels, chosen, sizes, owned), strict=True):
        number, more = level.numbered(flags)
        if more:
            labels.append(np.where(number >= 0, number + count, -1)[level.of])
            count += more
    return StiffClusters(tuple(labels), count)


def _independent(levels: list[Clusters], chosen: list[Flags], sizes: list[Array], owned: int) -> list[Flags]:
    """The chosen clusters, per level, but for the largest of those that together make up another one.

    The others and the sum say what it is.

    Args:
        levels: Nested, the finest first.
        chosen: Per level, (clusters of this rank,).
        sizes: Per level, (owned + ghosts,), of each unknown's cluster.
        owned: Unknowns of this rank.
    """
    comm = levels[0].comm
    first = comm.exscan(owned, op=MPI.SUM) or 0
    number = np.arange(first + 1, first + owned + 1, dtype=np.float64)  # of unknowns, over all ranks
    kept = [flags.copy() for flags in chosen]
    # Of the largest chosen cluster so far that each unknown is in, and a name that tells those of one size apart:
    part_level, part_size, part_name = np.full(owned, -1), np.zeros(owned), np.zeros(owned)
    for k, level in enumerate(levels):
        of = level.of[:owned]
        inside = chosen[k][of]
        made_up = inside & (level.largest(inside & (part_level < 0)) == 0)[of]
        largest = made_up & (part_size == level.largest(np.where(made_up, part_size, 0.0))[of])
        largest &= part_name == level.largest(np.where(largest, part_name, 0.0))[of]
        for j in range(k):
            kept[j] &= levels[j].largest(largest & (part_level == j)) == 0
        part_level[inside] = k
        part_size[inside] = sizes[k][:owned][inside]
        part_name[inside] = level.largest(number)[of][inside]
    return kept


def _connected(a: NDArray[np.integer], b: NDArray[np.integer], size: int) -> tuple[int, NDArray[np.intp]]:
    """Number of connected parts of an undirected graph of `size` nodes with edges a-b, and the part of each node."""
    if size == 0:
        return 0, np.empty(0, np.intp)
    graph = coo_array((np.ones(len(a), dtype=bool), (a, b)), shape=(size, size))
    count, part = connected_components(graph, directed=False)
    return int(count), part.astype(np.intp)
