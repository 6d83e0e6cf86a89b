"""From physics on a mesh to matrices, loads and residuals."""
