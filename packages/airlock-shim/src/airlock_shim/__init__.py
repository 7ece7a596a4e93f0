"""Locating the shim's binaries, and linking to them.

The shim itself is a native program: `pip install airlock-shim` puts it on PATH as `airlock-shim`.
This package is for programs that put it into containers.
"""

from airlock_shim._version import __version__
from airlock_shim.binaries import ARCHITECTURES, binary_for, binary_path
from airlock_shim.errors import BinaryError, LinkError, ShimError
from airlock_shim.links import install

__all__ = [
    "ARCHITECTURES",
    "BinaryError",
    "LinkError",
    "ShimError",
    "__version__",
    "binary_for",
    "binary_path",
    "install",
]
