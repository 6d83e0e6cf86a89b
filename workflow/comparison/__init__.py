"""Results of several states side by side: numbers and their changes, curves and distributions overlaid."""
