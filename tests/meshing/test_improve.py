"""Smoothing and local cures of bad triangles."""

import numpy as np
import pytest

from microlith.meshing.fitted.improve import improve_worst, smooth_free_points
from microlith.meshing.mesh.quality import areas, sicn


def grid(n=8):
    """Square of n x n cells, each cut in two; the points, the triangles and the edges of the rim."""
    y, x = np.divmod(np.arange((n + 1) ** 2), n + 1)
    points = np.stack([x, y], axis=1).astype(float)
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    lower = np.stack([corner, corner + 1, corner + n + 2], axis=1)
    upper = np.stack([corner, corner + n + 2, corner + n + 1], axis=1)
    triangles = np.concatenate([lower, upper]).astype(np.int32)
    side = np.arange(n)
    rim = [(side, side + 1), (n * (n + 1) + side, n * (n + 1) + side + 1)]
    rim += [((n + 1) * side, (n + 1) * (side + 1)), ((n + 1) * side + n, (n + 1) * (side + 1) + n)]
    edges = np.concatenate([np.stack(pair, axis=1) for pair in rim])
    return points, triangles, edges


def jittered(n=8, amount=0.3):
    points, triangles, edges = grid(n)
    inner = np.setdiff1d(np.arange(len(points)), edges)
    points[inner] += np.random.default_rng(0).uniform(-amount, amount, (len(inner), 2))
    return points, triangles, edges


def test_relaxing_betters_the_mesh_and_keeps_the_rim():
    points, triangles, edges = jittered()
    moved = smooth_free_points(points, triangles, edges)
    before, after = sicn(points, triangles), sicn(moved, triangles)
    assert after.mean() > before.mean() + 0.05
    assert after.min() >= min(before.min(), 0.45)
    assert (moved[np.unique(edges)] == points[np.unique(edges)]).all()


def test_relaxing_never_spoils_a_triangle():
    """A fan whose centre of neighbours lies outside: plain smoothing would turn triangles over."""
    rim = np.array([[0, 0], [4, 0], [4, 4], [3.6, 0.5], [0.5, 0.4]], float)
    points = np.concatenate([rim, [[3.75, 0.2]]])
    ring = np.arange(5)
    triangles = np.stack([ring, (ring + 1) % 5, np.full(5, 5)], axis=1).astype(np.int32)
    edges = triangles[:, :2].astype(np.int64)
    before = sicn(points, triangles)
    assert before.min() > 0
    after = sicn(smooth_free_points(points, triangles, edges), triangles)
    assert (after >= np.minimum(before, 0.45) - 1e-12).all()


def test_a_point_at_the_wrong_place_is_moved():
    points, triangles, edges = grid()
    points[4 * 9 + 4] += (0.49, -0.47)
    assert sicn(points, triangles).min() < 0.1
    phase = np.zeros(len(triangles), np.uint8)
    better, cells = improve_worst(points, triangles, phase, edges, (8.0, 8.0))
    assert sicn(better, cells).min() >= 0.45
    assert areas(better, cells).sum() == pytest.approx(64)


def thin_pair():
    points = np.array([[0, 0], [4, 0], [2, 0.6], [2, -0.6]])
    triangles = np.array([[0, 1, 2], [1, 0, 3]], np.int32)
    edges = np.array([[0, 2], [2, 1], [1, 3], [3, 0]])
    return points, triangles, edges


def test_an_edge_is_flipped_within_a_phase_only():
    points, triangles, edges = thin_pair()
    before = sicn(points, triangles).min()
    flipped_points, flipped = improve_worst(points, triangles, np.zeros(2, np.uint8), edges, (9.0, 9.0))
    assert {2, 3} <= set(flipped[0]) & set(flipped[1])
    assert sicn(flipped_points, flipped).min() > before
    _, kept = improve_worst(points, triangles, np.array([0, 1], np.uint8), edges, (9.0, 9.0))
    assert (kept == triangles).all()


def test_interfaces_move_little_and_the_frame_stays():
    points, triangles, edges = thin_pair()
    points[:, 1] += 0.6  # corner 3 on the frame y = 0
    moved, _ = improve_worst(points, triangles, np.array([0, 1], np.uint8), edges, (9.0, 9.0))
    assert np.hypot(*(moved - points).T).max() <= 0.15 + 1e-12
    assert moved[3, 1] == 0
