"""Leukoscope: classify white blood cells from microscope images, and say honestly what helps."""
