"""Images of the process runtime: OCI images whose commands run on the machine's own root file system.

A build pushes one, the kubelet pulls it. docs/emulator.md says what such an image holds; foreign tools can read it.
"""

from emulator.images.client import RegistryClient
from emulator.images.copying import with_own_environment
from emulator.images.errors import ImageError
from emulator.images.layer import Layer, environment_layer, home_layer
from emulator.images.manifest import Config, Descriptor
from emulator.images.pull import PulledImage, pull
from emulator.images.push import patiently, push
from emulator.images.reference import Reference
from emulator.images.tree import Entry, Kind, scan, tree_hash

__all__ = [
    "Config",
    "Descriptor",
    "Entry",
    "ImageError",
    "Kind",
    "Layer",
    "PulledImage",
    "Reference",
    "RegistryClient",
    "environment_layer",
    "home_layer",
    "patiently",
    "pull",
    "push",
    "scan",
    "tree_hash",
    "with_own_environment",
]
