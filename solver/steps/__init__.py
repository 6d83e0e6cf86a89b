"""Nonlinear problems in time by adaptive implicit Runge-Kutta methods."""
