"""Pieces of an image that comes again and again: where they lie beside each other, and which go on without end."""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.typing import Flags, Indices, Numbers


def piece_periods(links: Numbers, across: Indices, count: int) -> Indices:
    """Periods (pieces, dim) by which each piece is to be moved to lie beside the others that it is one with.

    What goes through the whole image and meets itself can't be laid out like that: it stays as it lies, cut somewhere.

    Args:
        links: (k, 2) pieces that are one.
        across: (k, dim) periods from the first to the second.
        count: Number of pieces.
    """
    one, other = np.concatenate([links, links[:, ::-1]]).T
    step = np.concatenate([across, -across])
    _, part = connected_sets(links, count)
    _, first = np.unique(part, return_index=True)
    root = np.full(len(first), count)  # linked to one piece of each whole, so that one search finds all
    graph = sparse.coo_array(
        (np.ones(len(one) + len(first), np.int8), (np.append(one, root), np.append(other, first))),
        shape=(count + 1, count + 1),
    )
    _, before = csgraph.breadth_first_order(graph.tocsr(), count, directed=True)
    before = np.where(before[:count] == count, np.arange(count), before[:count]).astype(np.int64)
    key, wanted = one.astype(np.int64) * count + other, before * count + np.arange(count)
    order = np.argsort(key, kind="stable")
    moved = np.zeros((count, across.shape[1]), np.int32)
    inner = np.flatnonzero(before != np.arange(count))
    moved[inner] = step[order[np.searchsorted(key[order], wanted[inner])]]
    while (before != before[before]).any():  # each time twice as far towards the first
        moved += moved[before]
        before = before[before]
    return moved


def going_on(links: Numbers, across: Indices, count: int) -> Flags:
    """Along which axes the whole that each piece is a part of goes on from box to box, (pieces, dim).

    Laid out by `piece_periods`, it is met again in another box, along the axes in which these differ.

    Args:
        links: (k, 2) pieces that are one.
        across: (k, dim) periods from the first to the second.
        count: Number of pieces.
    """
    found = np.zeros((count, across.shape[1]), bool)
    if not len(links):
        return found
    moved = piece_periods(links, across, count)
    differs = moved[links[:, 0]] + across != moved[links[:, 1]]
    wholes, part = connected_sets(links, count)
    of_whole = np.zeros((wholes, across.shape[1]), bool)
    np.logical_or.at(of_whole, part[links[:, 0]], differs)
    return np.asarray(of_whole[part])
