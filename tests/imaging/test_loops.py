"""Compiled loops over voxels and faces, each against the same in NumPy or plain Python."""

import numpy as np
import pytest

from microlith.imaging.measures.loops import add_projections, count_runs, find_extents, find_normals

FRAME = 3  # phases


@pytest.mark.parametrize("step", [1, 5, 26])
@pytest.mark.parametrize("every", [False, True])
def test_runs_are_those_of_each_line(step, every):
    flat = np.repeat(np.random.default_rng(step).integers(0, FRAME + 1, 400), 2).astype(np.uint8)[:787]
    last, lengths = 700, 6
    between = np.zeros(FRAME**2, int)
    longer, cut = np.zeros((2, lengths, FRAME**2), int)
    ended = np.zeros((lengths, FRAME**3 if every else FRAME**2), int)
    count_runs(flat, step, last, FRAME, between, longer, cut, ended)
    expected = [np.zeros_like(part) for part in (between, longer, cut, ended)]
    for start in range(step):
        line = flat[start::step].tolist()
        line += line[-1:]  # beyond the last voxel its run goes on
        for at in range(len(line) - 2):
            before, within = line[at], line[at + 1]
            if start + at * step >= last or before == within or FRAME in (before, within):
                continue
            key = before * FRAME + within
            expected[0][key] += 1
            run = next((n for n, phase in enumerate(line[at + 1 :]) if phase != within), lengths + 1)
            expected[1][: min(run - 1, lengths), key] += 1
            if run <= lengths and (behind := line[at + 1 + run]) == FRAME:
                expected[2][run - 1, key] += 1
            elif run <= lengths and every:
                expected[3][run - 1, key * FRAME + behind] += 1
            elif run <= lengths and behind == before:
                expected[3][run - 1, key] += 1
    for found, wanted in zip((between, longer, cut, ended), expected, strict=True):
        assert wanted.any()
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5), (1.5, 1.0)])
def test_normals_of_an_inclined_plane(size):
    dim = len(size)
    shape, slope = (6, 5, 7)[:dim], np.array([0.3, -0.2, 0.5])[:dim]
    # What is found at a voxel is of the centre of the blur's window, which at the frame is another place.
    centre = np.random.default_rng(dim).uniform(-0.3, 0.3, (dim, max(shape)))
    moved = [index + line[index] for index, line in zip(np.indices(shape), centre, strict=True)]
    place = np.stack(moved, axis=-1) * size
    values = np.stack([(place @ slope).ravel(), np.zeros(np.prod(shape))]).astype(np.float32)
    strides = np.array([np.prod(shape[axis + 1 :]) for axis in range(dim)], int)
    for axis in range(dim):
        here = np.ravel_multi_index(np.moveaxis(np.indices([n - 1 for n in shape]), 0, -1).reshape(-1, dim).T, shape)
        normal = np.full((len(here), dim), np.nan)
        kind = np.zeros(len(here), np.uint8)
        find_normals(values, np.array(shape), strides, centre, axis, here, kind, kind + 1, np.array(size), normal)
        np.testing.assert_allclose(normal, np.tile(slope / np.linalg.norm(slope), (len(here), 1)), atol=1e-5)
        find_normals(values * 0, np.array(shape), strides, centre, axis, here, kind, kind + 1, np.array(size), normal)
        np.testing.assert_array_equal(normal, np.tile(np.eye(dim)[axis], (len(here), 1)))


def test_projections_along_steps():
    rng, axis, shape, unit = np.random.default_rng(1), 1, np.array([9, 8, 7]), 2.0**-20
    first, second = rng.normal(size=(2, 50, 3))
    place = rng.uniform(0, shape, (50, 3)).T
    beyond, pair = rng.uniform(size=(3, 50)), rng.integers(0, 4, 50)
    steps = np.array([[0, 1, -1], [2, 0, 1], [1, 1, 1]])
    along = steps / np.linalg.norm(steps, axis=1)[:, None]
    out = np.zeros((3, 4), np.int64)
    add_projections(axis, pair, first, second, beyond, place, shape, steps, along, unit, out)
    for row, step, direction in zip(out, steps, along, strict=True):
        seen = [np.abs(n[:, axis]) * np.abs(n @ direction) for n in (second, first)]
        share = 1 + beyond[step == 0].sum(axis=0)
        for x, count, length in zip(place, shape, np.abs(step), strict=True):
            if length:
                share *= np.clip(np.minimum(x / length, 1) - np.maximum(1 - (count - x) / length, 0), 0, None)
        expected = np.bincount(pair, (4 * seen[0] - seen[1]) / 3 * share, 4)
        np.testing.assert_allclose(row * unit, expected, rtol=1e-5)


@pytest.mark.parametrize("dim", [2, 3])
def test_extents_are_those_of_ends(dim):
    rng = np.random.default_rng(dim)
    points, starts = rng.normal(size=(90, dim)), np.array([0, 40, 41, 90])
    directions = rng.normal(size=(7, dim))
    extent = np.full(3, np.nan)
    find_extents(points, starts, directions, extent)
    for found, mine in zip(extent, np.split(points, starts[1:-1]), strict=True):
        along = mine @ directions.T
        ends = mine[along.argmax(axis=0)] - mine[along.argmin(axis=0)]
        assert found == pytest.approx(np.linalg.norm(ends, axis=1).max())
