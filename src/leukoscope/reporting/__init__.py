"""Tables in, one self-contained HTML page out: pure, deterministic, without torch."""
