"""A small cloud on one machine: what the functions need to run, speaking the protocols of the real services."""
