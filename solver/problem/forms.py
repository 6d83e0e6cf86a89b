"""The weak forms of diffusion in porous phases, as they stand in the mathematics.

Find c such that for all v:  ∫ ε ∂c/∂t v dx + ∫ D_eff ∇c·∇v dx + Σ ∫ k (c − c_s) v ds = 0,
with the concentration held (c = c_s) where a source has no mass-transfer coefficient. Where phases differ in what they
hold in equilibrium, c = κ u with a factor κ for each phase, and Σ ∫ k κ [u][v] dS is added where they exchange slowly.
"""

import ufl
from ufl.core.expr import Expr


def storage(porosity: Expr, c: Expr, v: Expr, dx: ufl.Measure = ufl.dx) -> ufl.Form:
    """∫ ε c v dx: the lithium stored in the pores of the medium."""
    return porosity * c * v * dx


def diffusion(diffusivity: Expr, c: Expr, v: Expr, dx: ufl.Measure = ufl.dx) -> ufl.Form:
    """∫ D_eff ∇c·∇v dx: Fick's law."""
    return ufl.inner(diffusivity * ufl.grad(c), ufl.grad(v)) * dx


def reaction(rate: Expr, c: Expr, v: Expr, dx: ufl.Measure = ufl.dx) -> ufl.Form:
    """∫ k c v dx: a reaction of first order in the volume takes lithium out."""
    return rate * c * v * dx


def transfer(coefficient: Expr, c: Expr, v: Expr, ds: ufl.Measure) -> ufl.Form:
    """∫ k c v ds: first-order exchange through a surface (mass transfer from a source, uptake by a sink)."""
    return coefficient * c * v * ds


def exchange(coefficient: Expr, u: Expr, v: Expr, interface: ufl.Measure) -> ufl.Form:
    """∫ k [u][v] dS: what leaves one phase enters the other, in proportion to the jump of u between them."""
    return coefficient * ufl.jump(u) * ufl.jump(v) * interface
