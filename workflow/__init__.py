"""From a case file to a folder of results."""
