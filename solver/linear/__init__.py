"""Linear algebra of M + γK that keeps its digits where D differs by many orders of magnitude."""
