"""Generators, their fit, their cells, and the judge."""
