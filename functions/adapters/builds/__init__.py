"""Build backends: where repo2docker runs."""
