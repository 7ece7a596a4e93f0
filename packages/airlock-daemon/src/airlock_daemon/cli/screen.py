"""What a command prints for as long as somebody looks at it."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# How often is looked for something new, in ms.
PERIOD_MS = 200


@contextmanager
def printing() -> Iterator[None]:
    """End the block quietly at Ctrl-C, and where nobody reads its output any more.

    Characters that the output's encoding has not are escapes in it.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    with ignoring_closed_stdout(), suppress(KeyboardInterrupt):
        yield


@contextmanager
def ignoring_closed_stdout() -> Iterator[None]:
    """End the block where nobody reads stdout any more; what is printed later goes nowhere."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would be written at the end, in vain once more.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def periods() -> Iterator[None]:
    """Come back a few times a second, until the reader of a pipe is gone; flushes before it waits.

    A pipe tells that by itself, also where nothing is written to it.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    while True:
        yield
        sys.stdout.flush()
        if poll.poll(PERIOD_MS):
            return


def is_coloured() -> bool:
    """Whether stdout is a terminal that shows colours, and whose owner wants them.

    That is NO_COLOR's to say (no-color.org).
    """
    is_dumb = os.environ.get("TERM", "") in ("", "dumb")
    return sys.stdout.isatty() and not is_dumb and not os.environ.get("NO_COLOR")


def paint(code: str, text: str) -> str:
    """`text` in the colour of an SGR code (ECMA-48, 8.3.117)."""
    return f"\x1b[{code}m{text}\x1b[0m"


def leave_plain(_code: str, text: str) -> str:
    """`text` as it is."""
    return text
