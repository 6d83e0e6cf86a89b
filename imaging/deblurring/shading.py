"""Brightness that changes slowly: from layer to layer, and across the layers, as of uneven illumination."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

from microlith.imaging.typing import Array, Singles

DEGREE = 4  # of the polynomial across layers
PLACES = 33  # along each axis, at which the range is looked at
FLAT_DEGREE = 2  # the same of an image of one layer, that has few structures to find it from


@dataclass(frozen=True, eq=False)
class Shading:
    """How much brighter than the rest of an image its layers, and places in them, are."""

    layers: Singles  # (z,)
    across: Array  # (DEGREE + 1, DEGREE + 1) weights of products of Legendre's polynomials of y and x, from -1 to 1

    def of(self, low: int, high: int, rows: int, columns: int) -> Singles:
        """(high - low, rows, columns) in some layers."""
        plane = self._plane(rows, columns).astype(np.float32)
        return np.asarray(self.layers[low:high, None, None] + plane)

    @property
    def range(self) -> float:
        """Largest difference across a layer."""
        return float(np.ptp(self._plane(PLACES, PLACES)))

    def _plane(self, rows: int, columns: int) -> Array:
        one, other = _polynomials(rows), _polynomials(columns)
        return np.asarray(one @ self.across @ other.T)


def none(layers: int) -> Shading:
    """An even image."""
    return Shading(np.zeros(layers, np.float32), np.zeros((DEGREE + 1,) * 2))


def moments(layer: Singles) -> Array:
    """(DEGREE + 1, DEGREE + 1) sums over a layer, less its mean, with products of the polynomials.

    Args:
        layer: (y, x).
    """
    rows, columns = (_polynomials(n) for n in layer.shape)
    values = layer.astype(np.float64)
    return np.asarray(rows.T @ (values - values.mean()) @ columns)


def across(sums: Array, layers: int, rows: int, columns: int) -> Array:
    """Weights of the polynomials, of a degree of at most DEGREE in all, that fit best.

    Args:
        sums: Of `moments`, over some layers.
        layers: How many.
        rows: Voxels along y.
        columns: Along x.
    """
    one, other = (values.T @ values for values in (_polynomials(rows), _polynomials(columns)))
    degree = DEGREE if layers > 1 else FLAT_DEGREE
    i, j = np.nonzero(np.add.outer(np.arange(DEGREE + 1), np.arange(DEGREE + 1)) <= degree)
    normal = one[np.ix_(i, i)] * other[np.ix_(j, j)] * layers
    found = np.zeros((DEGREE + 1,) * 2)
    found[i, j] = np.linalg.lstsq(normal, sums[i, j], rcond=1e-10)[0]
    found[0, 0] = 0.0
    return found


def _polynomials(count: int) -> Array:
    """(count, DEGREE + 1) Legendre's, at the voxels of an axis."""
    return np.asarray(legendre.legvander(np.linspace(-1.0, 1.0, count), DEGREE), np.float64)
