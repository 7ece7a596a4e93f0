"""The terminal of a client, which is the tool's own, and nobody else's."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python
from e2e.canary.boxes.run import why_not
from e2e.world.lines import TERMINAL

# asm-generic/ioctls.h: TIOCSTI, TIOCLINUX, TIOCSETD, by both spellings of a number of 64 bits.
_TYPES = """
terminal = os.open('/dev/tty', os.O_RDWR)
for name, number in (('TIOCSTI', 0x5412), ('TIOCLINUX', 0x541C), ('TIOCSETD', 0x5423)):
    for high in (0, 1 << 32, 0xffffffff << 32):
        argument = ctypes.create_string_buffer(b'\\n\\0\\0\\0\\0\\0\\0\\0')
        denied(name, call((16, 29), terminal, ctypes.c_ulong(number | high), argument))
"""
_OTHERS = """
own = os.fstat(1).st_rdev
for name in os.listdir('/dev/pts'):
    path = f'/dev/pts/{name}'
    if name != 'ptmx' and os.stat(path).st_rdev != own and not <landlock>:
        attempt(path, lambda: os.open(path, os.O_RDWR | os.O_NOCTTY))
for path in ('/dev/console', '/dev/tty0', '/dev/tty1', '/dev/vcs', '/dev/ttyS0'):
    if os.path.exists(path) and path != '/dev/console':
        attempt(path, lambda: os.open(path, os.O_RDWR | os.O_NOCTTY))
"""


def _attacks() -> Iterator[Attack]:
    for name, code in (("to type into it", _TYPES), ("other terminals", _OTHERS)):
        yield python(name, "filter", code, features=["tty", "base64"], tty=TERMINAL)


FAMILY = Family("box-terminal", tuple(_attacks()), why_not)
