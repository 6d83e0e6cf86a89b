"""Fluxes through surfaces and between phases, against time."""
