"""Conductivity around regular arrays of obstacles by the multipoles of Lord Rayleigh, Phil. Mag. 34 (1892) 481.

Around each insulating obstacle the potential is a sum of regular harmonics, of amplitudes A, and singular ones, B. Its
surface gives B from A; A is the applied field with the B of all others, through sums over the lattice.
"""

import math

import numpy as np
from scipy.special import lpmv


def square_array_of_disks(fraction, terms=8):
    """Conductivity of the plane around insulating disks on a square lattice, relative to the plane.

    In the complex plane: A_l + Σ_m C(l+m-1, l) S_{l+m} B_m = δ_l1, B_l = A_l a^{2l}, for odd l and m; S_n are the sums
    of z^-n over the lattice of spacing 1, S_2 = π.
    """
    a = math.sqrt(fraction / math.pi)
    lattice = np.arange(-60, 61)
    z = (lattice[:, None] + 1j * lattice).ravel()
    z = z[z != 0]
    fourth = math.gamma(0.25) ** 8 / (960 * math.pi**2)
    sums = {2: math.pi, 4: fourth, 8: 3 / 7 * fourth**2} | {n: (z**-n).sum().real for n in range(12, 4 * terms, 4)}
    orders = range(1, 2 * terms, 2)
    matrix = [[math.comb(n + m - 1, n) * sums.get(n + m, 0.0) * a ** (2 * m) for m in orders] for n in orders]
    first = np.linalg.solve(np.eye(terms) + np.array(matrix), np.eye(terms)[0])[0]
    return 1 - 2 * fraction * first


def cubic_array_of_spheres(fraction, degree=5, ratio=0.0, exchange=math.inf):
    """Conductivity of space with spheres on a simple cubic lattice, relative to the space around them.

    The spheres conduct `ratio` times as well, and let `exchange` times the jump of the potential through their surface,
    in units of the conductivity of the space per spacing (Cheng & Torquato, Proc. R. Soc. A 453 (1997) 145): as if each
    harmonic met a conductivity s_l = ratio / (1 + ratio l / (exchange a)). With these the first term below is
    (l+1+l s_l)/(l (1-s_l)) in place of (l+1)/l.

    With I_lm = (l-m)! P_lm(cos θ) exp(imφ) / r^{l+1} and its sums S over the lattice of spacing 1, S_20 = 4π/3:
    (l+1)/l (l-m)! (l+m)! a^{-2l-1} B_lm + Σ S_{l+p, q-m} B_pq = δ_l1, for odd l and p up to `degree`, m and q multiples
    of 4.
    """
    a = (3 * fraction / (4 * math.pi)) ** (1 / 3)
    pairs = [(n, m) for n in range(1, degree + 1, 2) for m in range(-(n // 4) * 4, n + 1, 4)]
    sums = {}
    matrix = np.zeros((len(pairs),) * 2)
    for i, (n, m) in enumerate(pairs):
        within = ratio / (1 + ratio * n / (exchange * a))
        own = (n + 1 + n * within) / (n * (1 - within))
        matrix[i, i] = own * math.factorial(n - m) * math.factorial(n + m) * a ** (-2 * n - 1)
        for j, (p, q) in enumerate(pairs):
            order = (n + p, abs(q - m))
            if order not in sums:
                sums[order] = _cubic_sum(*order)
            matrix[i, j] += sums[order]
    return 1 - 4 * math.pi * np.linalg.solve(matrix, np.eye(len(pairs))[0])[0]


def _cubic_sum(n, m):
    """Sum of I_nm over the cubic lattice, from two cubes of it: what lies outside falls as their edge to the 2 - n."""
    if n == 2:
        return 4 * math.pi / 3 if m == 0 else 0.0
    inner, outer = (_irregular(n, m, cube).sum().real for cube in (_cube(8), _cube(16)))
    ratio = (16.5 / 8.5) ** (n - 2)
    return (ratio * outer - inner) / (ratio - 1)


def _cube(reach):
    points = np.moveaxis(np.indices((2 * reach + 1,) * 3) - reach, 0, -1).reshape(-1, 3).astype(float)
    return points[(points**2).sum(axis=1) > 0]


def _irregular(n, m, points):
    r = np.linalg.norm(points, axis=1)
    angle = np.arctan2(points[:, 1], points[:, 0])
    return math.factorial(n - m) * lpmv(m, n, points[:, 2] / r) * np.exp(1j * m * angle) / r ** (n + 1)
