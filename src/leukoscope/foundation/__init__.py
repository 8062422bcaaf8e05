"""What every room stands on: errors, named random streams, atomic files."""
