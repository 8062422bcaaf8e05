"""Arrays in, masks and measures out: nucleus, cytoplasm, isolated cell, features."""
