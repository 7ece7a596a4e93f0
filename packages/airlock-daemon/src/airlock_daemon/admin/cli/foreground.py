"""Runs a program in the foreground, as if it replaced this one, and returns when it ends."""

import os
import resource
import signal
import sys
from contextlib import suppress

_FOLLOWED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1),
    *(signal.SIGUSR2, signal.SIGWINCH, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGCONT, signal.SIGALRM),
)
_NEVER_OF_TERMINALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


def run_in_foreground(program: str, words: list[str]) -> int:
    """Run `program` with `words` as its argv, and return its wait(2) status.

    It stays in this process group, so it gets the terminal's signals, and stops and continues with
    it. Signals that other processes send to this one are forwarded. Raises OSError if it cannot be
    started.
    """
    watched = {*_FOLLOWED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        child = os.posix_spawn(
            program,
            words,
            os.environ,
            setsigmask=before,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
        return _follow(child, watched)
    finally:
        _discard(watched)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_like(status: int) -> int:
    """The exit status for a wait `status`; kills this process if a signal ended the program."""
    number = os.waitstatus_to_exitcode(status)
    if number >= 0:
        return number
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        # SIGKILL's action cannot be set.
        signal.signal(-number, signal.SIG_DFL)
    os.kill(os.getpid(), -number)
    # A signal that does not terminate by default.
    return 128 - number


def _follow(child: int, watched: set[signal.Signals]) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            # So that the shell sees a stopped job. SIGCONT reaches both.
            os.kill(os.getpid(), signal.SIGSTOP)
        elif pid:
            return status
        else:
            number = _wait(watched)
            if number is not None:
                os.kill(child, number)


def _wait(watched: set[signal.Signals]) -> int | None:
    """Wait for a signal, and return it if it is to be forwarded.

    Signals from the kernel, for a terminal, reached the whole process group.
    """
    if sys.platform == "darwin":
        # macOS does not tell a signal's sender.
        number = signal.sigwait(watched)
        return number if number in _NEVER_OF_TERMINALS else None
    told = signal.sigwaitinfo(watched)
    return told.si_signo if told.si_signo != signal.SIGCHLD and told.si_code <= 0 else None


def _discard(watched: set[signal.Signals]) -> None:
    """Discard the signals that are still pending, which were for the program."""
    while pending := signal.sigpending() & watched:
        signal.sigwait(pending)
