"""The command `run`: solve, write, warn, sum up."""
