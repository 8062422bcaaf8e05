"""Pictures taken in: sources, decoding, the pixel store, drawn cells, duplicates, splits."""
