"""What `microlith analyze` measures in the image of a case, and how it is written and drawn."""
