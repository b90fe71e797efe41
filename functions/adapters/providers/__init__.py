"""Repo providers: from a spec to a repository at a commit."""
