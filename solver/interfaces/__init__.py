"""Between two transport phases: concentrations that jump, partition, exchange and films."""
