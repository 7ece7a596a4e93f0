"""Signals that are ignored when the suite starts, as ``nohup`` and a shell's ``&`` leave them.

Whatever is started inherits that a signal is ignored, but not that it has a handler (execve(2)).
"""

import signal
from types import FrameType

# Python ignores these itself, and `subprocess` gives them back.
_OF_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


def keep_to_ourselves() -> None:
    """Let programs that this process starts have the default effect of each ignored signal.

    This process goes on ignoring them: its handler does nothing.
    """
    for number in signal.valid_signals() - _OF_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""
