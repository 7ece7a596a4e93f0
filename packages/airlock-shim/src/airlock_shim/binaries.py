"""The binaries in this package: one static Linux program for each processor."""

import platform
import sys
from pathlib import Path

from airlock_shim.errors import BinaryError

ARCHITECTURES = ("x86_64", "aarch64")
"""The processors with a shim, as uname(2) names them."""

_OTHER_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def binary_for(arch: str) -> Path:
    """Return the path of the shim for containers on the processor `arch`.

    `arch` is one of `ARCHITECTURES`, or the name used by container engines and macOS (`amd64`,
    `arm64`). Every installation has all of them, on any host. Raises `BinaryError`.
    """
    name = _OTHER_NAMES.get(arch, arch)
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise BinaryError(f"there is no shim for the processor {arch!r}, only for {known}")
    path = Path(__file__).parent / "_bin" / f"airlock-shim-linux-{name}"
    if not path.is_file():
        raise BinaryError(
            f"{path} is missing: the package was not built; install airlock-shim with pip, "
            "from an index or from its folder in a checkout"
        )
    return path


def binary_path() -> Path:
    """Return the path of the shim for this machine. Raises `BinaryError` if there is none."""
    if sys.platform != "linux":
        raise BinaryError(
            f"the shim runs on Linux and not on {sys.platform}; "
            "use binary_for(ARCH) for containers on this machine"
        )
    return binary_for(platform.machine())
