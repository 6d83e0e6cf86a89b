"""From cells, on one rank or on all, to the DOLFINx mesh of the solved phases."""
