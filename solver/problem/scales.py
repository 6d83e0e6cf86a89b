"""Units of the solver's numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scales:
    """Units of the solver's numbers, so that they are of order one: the only place where scaled meets SI."""

    length: float  # metres per mesh coordinate
    time: float  # seconds per unit of time
    concentration: float  # mol/m^3 per unit of concentration

    def diffusivity(self, value: float) -> float:
        """m^2/s to mesh units."""
        return value * self.time / self.length**2

    def velocity(self, value: float) -> float:
        """m/s to mesh units."""
        return value * self.time / self.length

    def flux(self, value: float) -> float:
        """mol/(m^2 s) to mesh units."""
        return self.velocity(value) / self.concentration

    def amount(self, dim: int) -> float:
        """Moles (3D) or moles per metre of depth (2D) per unit of amount."""
        return self.concentration * self.length**dim
