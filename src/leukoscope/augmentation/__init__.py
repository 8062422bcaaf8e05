"""Augmentation: a recipe (value) gives a draw (parameters), a draw is applied to pixels."""
