"""Evaluation: predictions in, results out; without torch."""
