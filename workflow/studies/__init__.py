"""Several solutions of one case: errors, convergence, moved interfaces, effective diffusivity."""
