"""The shape of everything kept on disk, and the only code that reads or writes it."""
