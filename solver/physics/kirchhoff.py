"""Kirchhoff's transform of a law: Φ(c) = ∫ D dc from 0 to c, whose gradient is the flux, for arrays of concentrations.

On each of as many pieces as it takes to follow the law, D is a polynomial of degree 5, so that Φ costs the same for a
long expression as for a table.
"""

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.physics.laws import DiffusivityLaw, DiffusivityTable, values_of

PIECES = 16  # of a range at first
TRUE = 1e-9  # error of D, per largest D of a piece, at which a piece is not halved
FINEST = 1e-12  # piece per range that is not halved whatever its error is, as at a kink
MOST = 20_000  # pieces from which on none is halved
FARTHEST = 1e6  # per scale, up to where a law is followed for which no largest concentration is known
BETWEEN = 4096  # concentrations that the inverse is told from
TINY = 1e-300
DEGREE = 5
SAMPLES = 0.5 - 0.5 * np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))  # Chebyshev's points of a piece
CHECKS = np.array([1e-3, 0.22, 0.41, 0.63, 0.81, 1.0 - 1e-3])  # points between them
POWERS = np.arange(DEGREE, -1, -1)


class Potential:
    """Φ and D of one law from 0 to the largest concentration; beyond both D stays what it is there."""

    def __init__(self, law: DiffusivityLaw, top: float, scale: float) -> None:
        """Follow the law.

        Args:
            law: D in m^2/s of c in mol/m^3.
            top: Largest concentration that the exact solution takes, mol/m^3; inf where it is not known, and the law
                is followed as far as it is asked for.
            scale: A concentration of the size of those that occur, mol/m^3.
        """
        self._law, self._grows = law, not np.isfinite(top)
        self._reach, self._farthest = scale if self._grows else top, FARTHEST * scale
        self._table: tuple[Array, Array] | None = None  # Φ and c, for the inverse
        self._take(_followed(law, 0.0, self._reach))

    def at(self, c: Array) -> Array:
        """Φ in mol/(m s), in the shape of c; nan where the law has no value or one below 0 on the way there."""
        inside = self._inside(c)
        phi = np.asarray(self._phi(inside))
        beyond = c != inside
        if beyond.any():
            phi[beyond] += self._d(inside[beyond]) * (c[beyond] - inside[beyond])
        return phi

    def diffusivity(self, c: Array) -> Array:
        """D in m^2/s, the derivative of Φ."""
        return np.asarray(self._d(self._inside(c)))

    def inverse(self, phi: Array) -> Array:
        """The concentration at which Φ has a value, mol/m^3, in the shape of phi: to a part in BETWEEN of its range."""
        if self._table is None:
            c = np.linspace(0.0, self._reach, BETWEEN)
            self._table = np.array(self._phi(c)), np.array(c)
        at, c = self._table
        found: Array = np.interp(phi, at, c)
        for beyond, d in ((phi < at[0], self._d(c[0])), (phi > at[-1], self._d(c[-1]))):
            found[beyond] += (phi[beyond] - np.clip(phi[beyond], at[0], at[-1])) / max(float(d), TINY)
        return found

    def _inside(self, c: Array) -> Array:
        while self._grows and self._reach < min(c.max(initial=0.0), self._farthest):
            x, more = _followed(self._law, self._reach, 2.0 * self._reach)
            self._take((np.append(self._d.x[:-1], x), np.concatenate([self._d.c, more], axis=1)))
            self._reach *= 2.0
        return np.clip(c, 0.0, self._reach)

    def _take(self, pieces: tuple[Array, Array]) -> None:
        from scipy.interpolate import PPoly  # late, as no linear problem has a potential

        self._d = PPoly(pieces[1], pieces[0])
        self._phi = self._d.antiderivative()
        self._table = None


def _followed(law: DiffusivityLaw, start: float, end: float) -> tuple[Array, Array]:
    """Ends of pieces (n + 1,) and powers of D on them (degree + 1, n), as PPoly has them; nan where D has no value."""
    knots = np.linspace(start, end, PIECES + 1)
    if isinstance(law, DiffusivityTable):
        given = np.array(law.concentrations)
        knots = np.union1d(knots, given[(given > start) & (given < end)])
    left, right = knots[:-1], knots[1:]
    to_powers, at_checks = np.linalg.inv(np.vander(SAMPLES)), np.vander(CHECKS, DEGREE + 1)
    lefts, powers, count = [], [], 0
    while len(left):
        length = right - left
        d = values_of(law, left[:, None] + length[:, None] * SAMPLES)
        exact = values_of(law, left[:, None] + length[:, None] * CHECKS)
        void = ~np.isfinite(d).any(axis=1) | (d < 0.0).any(axis=1) | (exact < 0.0).any(axis=1)
        with np.errstate(all="ignore"):
            found = d @ to_powers.T
            wrong = np.abs(found @ at_checks.T - exact).max(axis=1)
        found[void] = np.nan
        kept = (wrong <= TRUE * np.abs(d).max(axis=1)) | void
        kept |= (length <= FINEST * (end - start)) | (count + len(left) > MOST)
        lefts.append(left[kept])
        powers.append(found[kept] / length[kept, None] ** POWERS)
        count += int(kept.sum())
        middle = 0.5 * (left + right)[~kept]
        left, right = np.concatenate([left[~kept], middle]), np.concatenate([middle, right[~kept]])
    starts, every = np.concatenate(lefts), np.concatenate(powers)
    order = np.argsort(starts)
    every = every[order]
    if not np.isfinite(values_of(law, np.array([start]))).all():
        every[0] = np.nan
    return np.append(starts[order], end), np.ascontiguousarray(every.T)
