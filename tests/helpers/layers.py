"""Layered slabs, cylinders and spheres with partition and resistance between the layers: two independent references.

`two_layers` is a series of eigenfunctions for two layers; `finite_volumes` takes any number of layers in 1D, exact in
time, and is extrapolated from two grids.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq


@dataclass(frozen=True)
class TwoLayers:
    """c = 1 held at 0, no flux at the far end, empty at first; flux k (c1 − c2/K) between the layers."""

    thicknesses: tuple[float, float]
    diffusivities: tuple[float, float]
    porosities: tuple[float, float]
    partition: float = 1.0  # K
    exchange: float = np.inf  # k
    modes: int = 1500

    def _modes(self):
        """Separation of variables: sin(p x) and A cos(q (L − x)), p and q = λ √(ε/D).

        They are orthogonal with the weights ε1 and ε2/K (as in Carslaw and Jaeger, Conduction of Heat in Solids, 2nd
        ed., 1959, §§2.16 and 14.5, for K = 1); the two conditions at the contact give λ and A.
        """
        (l1, l2), (d1, d2), (e1, e2) = self.thicknesses, self.diffusivities, self.porosities
        r1, r2 = np.sqrt(e1 / d1), np.sqrt(e2 / d2)

        def sides(x):
            """Flux and far-side concentration at the contact, of either layer's function."""
            p, q = x * r1, x * r2
            into = d1 * p * np.cos(p * l1)
            return into, np.sin(p * l1) + into / self.exchange, d2 * q * np.sin(q * l2), np.cos(q * l2) / self.partition

        def condition(x):
            into, level, out, far = sides(x)
            return (out * level - into * far) / x

        grid = (np.arange(30 * self.modes) + 0.37) * (np.pi / (l1 * r1 + l2 * r2)) / 30
        at = np.flatnonzero(np.sign(condition(grid[:-1])) != np.sign(condition(grid[1:])))
        roots = np.array([brentq(condition, grid[i], grid[i + 1], xtol=1e-15 * grid[i + 1]) for i in at])
        into, level, out, far = sides(roots)
        large = np.abs(far) * self.partition > 0.5
        factor = np.where(large, level / np.where(large, far, 1.0), into / np.where(large, 1.0, out))
        p, q = roots * r1, roots * r2
        whole = (1 - np.cos(p * l1)) / p, factor * np.sin(q * l2) / q
        squared = e1 * (l1 / 2 - np.sin(2 * p * l1) / (4 * p))
        squared += e2 * factor**2 * (l2 / 2 + np.sin(2 * q * l2) / (4 * q)) / self.partition
        return roots, p, q, factor, (e1 * whole[0] + e2 * whole[1]) / squared

    def mean(self, times, a, b):
        """Mean over [a, b], which lies within one layer."""
        l1, whole = self.thicknesses[0], sum(self.thicknesses)
        roots, p, q, factor, amplitude = self._modes()
        if b <= l1 * (1 + 1e-12):
            steady, part = 1.0, (np.cos(p * a) - np.cos(p * b)) / p
        else:
            steady, part = self.partition, factor * (np.sin(q * (whole - a)) - np.sin(q * (whole - b))) / q
        return steady - (amplitude * part / (b - a)) @ np.exp(-np.outer(roots**2, times))

    def profile(self, x, time, layer):
        """Concentration of layer 0 or 1, continued beyond its ends."""
        roots, p, q, factor, amplitude = self._modes()
        decay = amplitude * np.exp(-(roots**2) * time)
        some = np.abs(decay) > 1e-18
        if layer == 0:
            return 1.0 - np.sin(np.outer(x, p[some])) @ decay[some]
        far = np.cos(np.outer(sum(self.thicknesses) - x, q[some]))
        return self.partition - far @ (decay * factor)[some]


@dataclass(frozen=True)
class Layer:
    """One layer, and what lies between it and the layer before."""

    end: float  # coordinate
    diffusivity: float
    porosity: float = 1.0
    partition: float = 1.0  # its concentration per that of the layer before, in equilibrium
    exchange: float = np.inf  # flux = exchange (c of the layer before − c / partition)
    initial: float = 0.0
    decay: float = 0.0  # rate k: ε ∂c/∂t = … − ε k c


def finite_volumes(layers, times, start=0.0, geometry=0, left=None, right=None, cells=400):
    """Mean concentration of each layer (times, layers) and its contacts' inflow; extrapolated from two grids.

    Args:
        layers: From the inside out.
        times: At which the means are wanted.
        start: Coordinate of the first layer's inner end.
        geometry: 0 for a slab, 1 for a cylinder, 2 for a sphere.
        left: (concentration, velocity) at the inner end, velocity inf where it is held; None: no flux.
        right: The same at the outer end.
        cells: Per layer, on the coarser grid.
    """
    coarse, fine = (_finite_volumes(layers, times, start, geometry, left, right, n) for n in (cells, 2 * cells))
    return fine + (fine - coarse) / 3  # the error falls with the square of the size


def _finite_volumes(layers, times, start, geometry, left, right, cells):
    ends = np.concatenate([[start], [layer.end for layer in layers]])
    edges = np.concatenate([[start], *(np.linspace(a, b, cells + 1)[1:] for a, b in pairwise(ends))])
    number = np.repeat(np.arange(len(layers)), cells)
    factor = np.cumprod([layer.partition for layer in layers])[number]  # c = factor · u
    diffusivity = np.array([layer.diffusivity for layer in layers])[number] * factor
    porosity = np.array([layer.porosity for layer in layers])[number]
    width, area = np.diff(edges), edges**geometry
    volume = np.diff(edges ** (geometry + 1)) / (geometry + 1)
    resistance = np.zeros(len(edges))
    half = width / 2 / diffusivity
    resistance[1:-1] = half[:-1] + half[1:]
    for i, layer in enumerate(layers[1:], start=1):
        resistance[i * cells] += 1 / (layer.exchange * factor[i * cells - 1])
    conductance = np.zeros(len(edges))
    conductance[1:-1] = area[1:-1] / resistance[1:-1]
    load = np.zeros(len(width))
    for side, edge, cell in ((left, 0, 0), (right, -1, -1)):
        if side is not None:
            conductance[edge] = area[edge] / (half[cell] + 1 / (side[1] * factor[cell]))
            load[cell] = conductance[edge] * side[0] / factor[cell]
    capacity = porosity * factor * volume
    scale = 1 / np.sqrt(capacity)
    decay = np.array([layer.decay for layer in layers])[number]
    rates, modes = eigh_tridiagonal(
        (conductance[:-1] + conductance[1:]) / capacity + decay, -conductance[1:-1] * scale[:-1] * scale[1:]
    )
    initial = np.array([layer.initial for layer in layers])[number] / factor
    begin, push = modes.T @ (initial / scale), modes.T @ (load * scale)
    x = np.multiply.outer(rates, times)
    small = np.abs(x) < 1e-12
    grown = np.where(small, np.multiply.outer(np.ones_like(rates), times), -np.expm1(-x) / np.where(small, 1.0, x))
    grown = np.where(small, grown, grown * np.asarray(times))
    u = scale[:, None] * (modes @ (begin[:, None] * np.exp(-x) + push[:, None] * grown))
    weights = np.zeros((len(layers), len(width)))
    weights[number, np.arange(len(width))] = volume
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights @ (factor[:, None] * u)).T


def ladder(layers, times, left=(1.0, np.inf)):
    """Mean concentration of each layer of a slab (times, layers), empty at first, for whatever contrast between them.

    By Laplace's transform: √(sεD) tanh(√(sε/D) l) and the like pass the admittance J/c from the closed far end through
    each layer and each contact to the fed end, and concentration and flux back; fluxes less fluxes are what
    is stored and decays.

    Args:
        layers: From the fed end on; `initial` must be 0.
        times: At which the means are wanted.
        left: (concentration, velocity) at the fed end, velocity inf where it is held.
    """
    lengths = np.diff([0.0, *(layer.end for layer in layers)])

    def means(s):
        passed, far = [], np.zeros_like(s)  # J/c at each layer's inner and outer end
        for layer, length in zip(reversed(layers), reversed(lengths), strict=True):
            rate = s + layer.decay
            own = np.sqrt(rate * layer.porosity * layer.diffusivity)
            thick = np.sqrt(rate * layer.porosity / layer.diffusivity) * length
            near = own * (far + own * np.tanh(thick)) / (own + far * np.tanh(thick))
            shrunk = 2 * np.exp(-thick) / (1 + np.exp(-2 * thick)) / (1 + far / own * np.tanh(thick))
            passed.append((near, far, shrunk))
            far = layer.partition * near / (1 + layer.partition * near / layer.exchange)
        flux = left[0] / s * passed[-1][0] / (1 + passed[-1][0] / left[1])
        found = []
        for layer, length, (near, far, shrunk) in zip(layers, lengths, reversed(passed), strict=True):
            leaving = far * shrunk * flux / near
            found.append((flux - leaving) / ((s + layer.decay) * layer.porosity * length))
            flux = leaving
        return np.array(found)

    return np.array([talbot(means, time) for time in times])


def talbot(transform, time, terms=20):
    """Function of time from its Laplace transform, to some twelve digits where it is smooth.

    Abate and Valko, Int. J. Numer. Meth. Engng 60 (2004) 979-993, doi 10.1002/nme.995.
    """
    angle = np.arange(1, terms) * np.pi / terms
    cot = 1 / np.tan(angle)
    rate = 2 * terms / (5 * time)
    s = np.append(rate + 0j, rate * angle * (cot + 1j))
    weight = np.append(0.5 + 0j, 1 + 1j * angle * (1 + cot**2) - 1j * cot)
    return 2 / (5 * time) * np.real(transform(s) * (weight * np.exp(s * time))).sum(axis=-1)
