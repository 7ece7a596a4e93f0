"""Finds the shim for containers and boxes. Nothing else imports its package."""

import os
import platform
import shutil

from airlock_daemon.errors import AirlockError

INSTALL = "install it beside the daemon: pip install 'airlock-daemon[run]'"

_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}


def find_shim(processor: str | None = None, *, search_path: str | None = None) -> str:
    """The real path of the shim for a processor, by default this machine's.

    From the package airlock-shim, else, for this machine's processor only, from PATH. `processor`
    is a name of uname(2) or of a container engine. `search_path` is a PATH without directories that
    agents write. Raises AirlockError.
    """
    wanted = _name(processor or platform.machine())
    try:
        import airlock_shim  # noqa: PLC0415 - it need not be installed
    except ImportError:
        return _find_on_path(wanted, search_path)
    if wanted not in airlock_shim.ARCHITECTURES:
        raise AirlockError(
            f"there is no shim for the processor {processor}",
            hint=f"there is one for each of {', '.join(airlock_shim.ARCHITECTURES)}: build or pull "
            "the image for one of them (--platform linux/amd64 or linux/arm64)",
        )
    try:
        return os.path.realpath(airlock_shim.binary_for(wanted))
    except airlock_shim.BinaryError as error:
        raise AirlockError(str(error), hint=INSTALL) from None


def _find_on_path(wanted: str, search_path: str | None) -> str:
    program = shutil.which("airlock-shim", path=search_path)
    if program is None or wanted != _name(platform.machine()):
        raise AirlockError(f"there is no shim for {wanted} on this machine", hint=INSTALL)
    return os.path.realpath(program)


def _name(processor: str) -> str:
    return _NAMES.get(processor, processor)
