"""What a tool's stdin, stdout and stderr are: passed descriptors, pipes, or a pseudo-terminal."""

from airlock_daemon.command.stdio.counted import Counted
from airlock_daemon.command.stdio.direct import Direct
from airlock_daemon.command.stdio.piped import Piped
from airlock_daemon.command.stdio.pseudo_terminal import PseudoTerminal
from airlock_daemon.command.stdio.standard import Emit, Stdio

__all__ = ["Counted", "Direct", "Emit", "Piped", "PseudoTerminal", "Stdio"]
