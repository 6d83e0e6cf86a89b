"""Pictures of curves, concentrations and particles."""
