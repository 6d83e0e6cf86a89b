"""Names of the axes, wherever they are spoken of."""

AXES = ("x", "y", "z")  # x is the last array axis, y the one before, z the first of three
