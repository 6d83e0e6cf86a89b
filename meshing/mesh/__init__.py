"""The mesh with its phases, and what is measured on cells, whatever made them."""
