"""What physics says of a solution before it is known, and where a solution breaks it."""
