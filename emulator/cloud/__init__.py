"""The parts of a cloud that the functions meet: Pub/Sub, an image registry, identity tokens, a scheduler, a git host.

One process, one event loop, three ports on loopback: gRPC for Pub/Sub, the registry, and HTTP for everything else.
"""
