"""What happens to lithium within the solved phases: diffusion, exchange where concentrations jump, and decay."""

from collections.abc import Sequence

import numpy as np

import ufl
from dolfinx import fem
from dolfinx.mesh import CellType, meshtags
from ufl.core.expr import Expr

from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.partition import Link
from microlith.solver.physics.phases import Physics
from microlith.solver.problem import forms
from microlith.solver.problem.assembly import per_phase
from microlith.solver.problem.discretization import Discretization


def transport(on: Discretization, physics: Physics, links: tuple[Link, ...]) -> ufl.Form:
    """The bilinear form of diffusion and decay in all phases and of exchange across interfaces, if linear in c.

    Args:
        on: What it is assembled on.
        physics: Phases in the order of the mesh's tags.
        links: Interfaces between them.
    """
    total = forms.diffusion(_diffusivity(on, physics), on.trial, on.test, on.dx)
    for coefficient, interface in exchanges(on, links):
        total += forms.exchange(coefficient, on.trial, on.test, interface)
    rates = decay_rates(on, physics)
    if any(rates):
        total += forms.reaction(per_phase(on.mesh, rates), on.trial, on.test, on.dx)
    return total


def decay_rates(on: Discretization, physics: Physics) -> list[float]:
    """κ ε k of the decay in each phase in scaled units, (phases,)."""
    return [
        on.scales.rate(p.decay) * p.porosity * float(factor)
        for p, factor in zip(physics.phases, on.factors, strict=True)
    ]


def exchanges(on: Discretization, links: tuple[Link, ...]) -> tuple[tuple[fem.Constant, ufl.Measure], ...]:
    """κ_first k in scaled units, and the facets, of each interface with a finite exchange."""
    slow = tuple(link for link in links if link.exchange is not None)
    values = [on.scales.velocity(link.exchange or 0.0) * float(on.factors[link.first]) for link in slow]
    return interfaces_of(on.mesh, slow, values, at_nodes(on.mesh, on.degree))


def interfaces_of(
    mesh: PhaseMesh, links: Sequence[Link], values: Sequence[float], metadata: dict[str, str | int] | None
) -> tuple[tuple[fem.Constant, ufl.Measure], ...]:
    """A coefficient, and the facets, of each of some interfaces.

    Args:
        mesh: The solved phases.
        links: Interfaces.
        values: Coefficient of each.
        metadata: Of the quadrature.
    """
    if not links:
        return ()
    # Numbered from 0, as forms are compiled anew for other numbers.
    tags = np.array([link.tag for link in links])
    order = np.argsort(tags)
    place = np.minimum(np.searchsorted(tags[order], mesh.facet_tags.values), len(tags) - 1)
    number = order[place].astype(np.int32)
    there = tags[number] == mesh.facet_tags.values
    marks = meshtags(mesh.mesh, mesh.mesh.topology.dim - 1, mesh.facet_tags.indices[there], number[there])
    between = ufl.Measure("dS", domain=mesh.mesh, subdomain_data=marks, metadata=metadata)
    return tuple((fem.Constant(mesh.mesh, value), between(i)) for i, value in enumerate(values))


def at_nodes(mesh: PhaseMesh, degree: int) -> dict[str, str | int] | None:
    """Quadrature at the nodes of a facet, exact to degree 2p − 1 (1 for p = 1): what FEM of degree p needs.

    So each unknown is tied to its copy on the other side alone, which multigrid coarsens well: however fast the
    exchange, CG needs no more iterations. With Gauss's points neighbours are tied with the wrong sign, and it needs
    hundreds of them. Triangles of degree 2 and more have no such points with weights above zero.
    """
    cell = mesh.mesh.topology.cell_type
    if degree == 1:
        return {"quadrature_rule": "vertex", "quadrature_degree": 1}
    if cell != CellType.tetrahedron:
        return {"quadrature_rule": "GLL", "quadrature_degree": 2 * degree - 1}
    return None


def _diffusivity(on: Discretization, physics: Physics) -> Expr:
    """κ D_eff in scaled units: a number for each cell, or a diagonal tensor where a phase has axes.

    Zero where D depends on c: that is a nonlinear term.
    """
    return along_axes(on.mesh, physics, _values(on, physics))


def _values(on: Discretization, physics: Physics) -> list[float]:
    """The largest κ D_eff of each phase."""
    return [
        on.scales.diffusivity((p.effective_diffusivity or 0.0) if p.law is None else 0.0) * float(k)
        for p, k in zip(physics.phases, on.factors, strict=True)
    ]


def diffusivities(on: Discretization, physics: Physics) -> Array:
    """κ D_eff along each axis in scaled units, (phases, dim); zero where D depends on c."""
    return _along_each(on, physics, _values(on, physics))


def conductivities(on: Discretization, physics: Physics) -> Array:
    """What the gradient of each phase's potential is times along each axis, scaled, (phases, dim).

    The potential is u, the conductivity κ D_eff; with a law it is Kirchhoff's, and the conductivity D_eff/D.
    """
    values = [
        value if phase.law is None else on.scales.diffusivity(phase.effective_factor)
        for phase, value in zip(physics.phases, _values(on, physics), strict=True)
    ]
    return _along_each(on, physics, values)


def _along_each(on: Discretization, physics: Physics, values: list[float]) -> Array:
    """One value for each phase, times what it is along each axis, (phases, dim)."""
    dim = on.mesh.mesh.topology.dim
    axes = [(phase.anisotropy or (1.0,) * dim)[:dim] for phase in physics.phases]
    return np.array(values)[:, None] * np.array(axes)


def along_axes(mesh: PhaseMesh, physics: Physics, values: list[float]) -> Expr:
    """Diffusivities (phases,) as coefficient of a form: a diagonal tensor where a phase has axes.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags.
        values: Largest diffusivity of each phase; phases of value 0 do not count.
    """
    axes = [p.anisotropy if value else None for p, value in zip(physics.phases, values, strict=True)]
    if all(axis is None for axis in axes):
        return per_phase(mesh, values)
    along = [
        per_phase(mesh, [d * (axis[k] if axis else 1.0) for d, axis in zip(values, axes, strict=True)])
        for k in range(mesh.mesh.topology.dim)
    ]
    return ufl.diag(ufl.as_vector(along))
