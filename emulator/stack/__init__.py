"""Starts the parts of the emulator, watches them and ends them: what `python -m emulator up` runs."""
