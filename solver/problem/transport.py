"""What moves lithium within the solved phases: diffusion, and exchange where concentrations jump."""

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
from microlith.solver.problem.scales import Scales


def transport(
    mesh: PhaseMesh,
    physics: Physics,
    links: tuple[Link, ...],
    scales: Scales,
    factors: Array,
    u: ufl.Argument,
    v: ufl.Argument,
) -> ufl.Form:
    """The bilinear form of diffusion in all phases and of exchange across interfaces, with constant coefficients.

    Args:
        mesh: The solved phases.
        physics: Phases in the order of the mesh's tags.
        links: Interfaces between them.
        scales: Units.
        factors: (phases,) κ of c = κ u.
        u: Trial function.
        v: Test function.
    """
    degree = u.ufl_function_space().ufl_element().degree
    total = forms.diffusion(_diffusivity(mesh, physics, scales, factors), u, v)
    for coefficient, interface in _exchanges(mesh, links, scales, factors, degree):
        total += forms.exchange(coefficient, u, v, interface)
    return total


def _exchanges(
    mesh: PhaseMesh, links: tuple[Link, ...], scales: Scales, factors: Array, degree: int
) -> tuple[tuple[fem.Constant, ufl.Measure], ...]:
    """κ_first k in scaled units, and the facets, of each interface with a finite exchange."""
    slow = [link for link in links if link.exchange is not None]
    if not slow:
        return ()
    # Numbered from 0, as forms are compiled anew for other numbers.
    tags = np.array([link.tag for link in slow])
    order = np.argsort(tags)
    place = np.minimum(np.searchsorted(tags[order], mesh.facet_tags.values), len(tags) - 1)
    number = order[place].astype(np.int32)
    there = tags[number] == mesh.facet_tags.values
    marks = meshtags(mesh.mesh, mesh.mesh.topology.dim - 1, mesh.facet_tags.indices[there], number[there])
    between = ufl.Measure("dS", domain=mesh.mesh, subdomain_data=marks, metadata=_at_nodes(mesh, degree))
    return tuple(
        (fem.Constant(mesh.mesh, scales.velocity(link.exchange or 0.0) * float(factors[link.first])), between(i))
        for i, link in enumerate(slow)
    )


def _at_nodes(mesh: PhaseMesh, degree: int) -> dict[str, str | int] | None:
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


def _diffusivity(mesh: PhaseMesh, physics: Physics, scales: Scales, factors: Array) -> Expr:
    """κ D_eff in scaled units: a number for each cell, or a diagonal tensor where a phase has axes.

    Zero where D depends on c: that is a nonlinear term.
    """
    values = [
        scales.diffusivity((p.effective_diffusivity or 0.0) if p.law is None else 0.0) * float(k)
        for p, k in zip(physics.phases, factors, strict=True)
    ]
    if all(p.anisotropy is None for p in physics.phases):
        return per_phase(mesh, values)
    dim = mesh.mesh.topology.dim
    axes = [
        per_phase(
            mesh, [d * (p.anisotropy[i] if p.anisotropy else 1.0) for d, p in zip(values, physics.phases, strict=True)]
        )
        for i in range(dim)
    ]
    return ufl.diag(ufl.as_vector(axes))
