"""The files in a folder of results, written and read."""
