"""A launch, from link to running server: what every watcher, event and round moves on together."""
