"""Surfaces that lithium passes in proportion to their area."""
