"""Effective diffusivity of a porous phase; eps is its porosity, and it stores eps*c per volume.

Each model gives the D_eff of  eps dc/dt = div(D_eff grad c)  from the diffusivity D of the fluid in the pores.
"""

BRUGGEMAN_EXPONENT = 1.5


def bruggeman(diffusivity: float, porosity: float, exponent: float = BRUGGEMAN_EXPONENT) -> float:
    """D eps^a, with a = 1.5 for spheres of all sizes.

    Bruggeman, Ann. Phys. 416 (1935) 636, doi 10.1002/andp.19354160705.
    """
    return diffusivity * porosity**exponent


def maxwell(diffusivity: float, porosity: float) -> float:
    """D 2 eps / (3 - eps), for insulating spheres far from each other.

    Maxwell, A Treatise on Electricity and Magnetism (1873), article 314.
    """
    return diffusivity * 2.0 * porosity / (3.0 - porosity)


def tortuous(diffusivity: float, porosity: float, tortuosity: float) -> float:
    """D eps / tau, with tau the tortuosity factor, the square of the ratio of path length to distance.

    Epstein, Chem. Eng. Sci. 44 (1989) 777, doi 10.1016/0009-2509(89)85053-5.
    """
    return diffusivity * porosity / tortuosity
