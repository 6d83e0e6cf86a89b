"""From the case file to a case in SI units."""
