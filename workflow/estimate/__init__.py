"""What a case will take: cells, unknowns, memory, time and disk, before anything is made."""
