"""Which Landlock the kernel has (landlock(7))."""

import ctypes
import functools

# The same number on every architecture, as for all newer system calls.
_CREATE_RULESET = 444
_ASK_VERSION = 1


@functools.cache
def landlock_version() -> int:
    """The version of the kernel's Landlock; 0 where it has none, or has switched it off."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    nothing = ctypes.c_void_p(None)
    found: int = call(
        ctypes.c_long(_CREATE_RULESET), nothing, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)
    )
    return max(found, 0)
