"""Where builds and launches are remembered."""
