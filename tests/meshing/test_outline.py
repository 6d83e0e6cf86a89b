"""Interfaces as smooth chains: where they may go, what they enclose, how they meet."""

import numpy as np
import pytest
from label_images import HARD, disk, label_image

from microlith.meshing.fitted.outline import (
    OUTSIDE,
    _corner_graph,
    _open_sharp_angles,
    chain_integrals,
    trace_interfaces,
)


def enclosed(outline, phase):
    """Area that the chains around a phase enclose."""
    integral = chain_integrals(outline.points, outline.start)
    return integral[outline.left == phase].sum() - integral[outline.right == phase].sum()


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("voxel", [(1.0, 1.0), (1.0, 3.0), (2.5, 1.0)])
def test_each_phase_keeps_its_area(name, voxel):
    phase = HARD[name]
    outline = trace_interfaces(label_image(phase, voxel))
    pixel = np.prod(voxel) / min(voxel) ** 2
    for index in range(phase.max() + 1):
        assert enclosed(outline, index) == pytest.approx(pixel * (phase == index).sum(), rel=1e-3)


@pytest.mark.parametrize("name", HARD)
def test_points_stay_within_half_a_pixel_and_on_the_frame(name):
    phase = HARD[name]
    outline = trace_interfaces(label_image(phase))
    assert np.abs(outline.points - np.rint(outline.points)).max() < 0.5
    frame = outline.points[np.repeat(outline.on_frame, np.diff(outline.start))]
    height, width = phase.shape
    x, y = frame.T
    assert ((x == 0) | (x == width) | (y == 0) | (y == height)).all()
    for corner in ((0, 0), (width, 0), (0, height), (width, height)):
        assert (outline.points == corner).all(axis=1).any()


def test_a_disk_is_round():
    """Stair steps have corners of 90 degrees; a smooth circle of radius 12.3 turns by less than 15 per point."""
    outline = trace_interfaces(label_image(disk()))
    loop = ~outline.on_frame
    assert loop.sum() == 1
    k = int(np.flatnonzero(loop)[0])
    p = outline.points[outline.start[k] : outline.start[k + 1]]
    assert (p[0] == p[-1]).all()
    radius = np.hypot(*(p - (20.2, 19.6)).T)
    assert radius.std() < 0.2  # of the pixel corners: 0.35
    direction = np.diff(p, axis=0)
    angle = np.unwrap(np.arctan2(direction[:, 1], direction[:, 0]))
    assert np.abs(np.diff(angle)).max() < np.deg2rad(30)
    assert np.hypot(*direction.T).sum() == pytest.approx(2 * np.pi * 12.3, rel=0.02)  # pixel edges: 27 % too long


def test_phases_are_known_on_both_sides():
    outline = trace_interfaces(label_image(np.array([[0, 1], [0, 1]])))
    inner = ~outline.on_frame
    assert inner.sum() == 1
    k = int(np.flatnonzero(inner)[0])
    p = outline.points[outline.start[k] : outline.start[k + 1]]
    upwards = p[-1, 1] > p[0, 1]  # y grows with the row: walking to larger y, small x is on the left
    assert (outline.left[k], outline.right[k]) == ((0, 1) if upwards else (1, 0))
    assert set(outline.left[~inner]) | set(outline.right[~inner]) == {OUTSIDE, 0, 1}


def test_triple_points_are_where_three_phases_meet():
    phase = np.zeros((10, 10), int)
    phase[:, 5:] = 1
    phase[6:, 3:8] = 2
    outline = trace_interfaces(label_image(phase))
    assert np.rint(outline.nodes[outline.triple]).tolist() == [[5, 6]]


@pytest.mark.parametrize("name", HARD)
def test_chains_meet_at_open_angles(name):
    outline = trace_interfaces(label_image(HARD[name]))
    leaving = {}
    for k in range(len(outline.left)):
        p = outline.points[outline.start[k] : outline.start[k + 1]]
        leaving.setdefault(int(outline.ends[k, 0]), []).append(p[1] - p[0])
        leaving.setdefault(int(outline.ends[k, 1]), []).append(p[-2] - p[-1])
    for directions in leaving.values():
        angle = np.sort([np.arctan2(d[1], d[0]) for d in directions])
        assert np.diff(np.append(angle, angle[0] + 2 * np.pi)).min() > np.deg2rad(40)


def test_folds_and_near_coincidences_are_taken_back():
    """Smoothing has not been seen to make any, so they are made here: a point beyond its neighbour, two nearly one."""
    phase = np.zeros((8, 12), np.uint8)
    phase[4:, :] = 1
    graph = _corner_graph(phase)
    home = graph.corner.astype(float)
    row = np.flatnonzero((graph.corner[:, 1] == 4) & (graph.corner[:, 0] > 2) & (graph.corner[:, 0] < 9))
    moved = home.copy()
    moved[row[1]] += (0.45, 0.45)
    moved[row[2]] += (-0.45, 0.45)
    moved[row[3]] += (-0.49, -0.45)
    opened = _open_sharp_angles(graph, home, moved)
    step = np.diff(opened[row], axis=0)
    assert np.hypot(*step.T).min() >= 0.4
    turn = np.abs(np.diff(np.unwrap(np.arctan2(step[:, 1], step[:, 0]))))
    assert turn.max() <= np.deg2rad(130)
    assert (opened[graph.corner[:, 1] != 4] == home[graph.corner[:, 1] != 4]).all()
