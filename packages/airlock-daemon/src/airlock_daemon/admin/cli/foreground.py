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
    """Run `program` with `words` as its argument vector, and return its status as wait(2) has it.

    It is in this process group, and so gets what a terminal sends, and stops and goes on with it.
    A signal that another process sends to this one alone is passed on. Raises OSError where it
    cannot be started.
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
    """The exit status for a program's `status`; ends this process by the signal that ended it."""
    number = os.waitstatus_to_exitcode(status)
    if number >= 0:
        return number
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        # Not of SIGKILL.
        signal.signal(-number, signal.SIG_DFL)
    os.kill(os.getpid(), -number)
    # One that ends nobody by default.
    return 128 - number


def _follow(child: int, watched: set[signal.Signals]) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            # So that the shell sees a job that has stopped. SIGCONT reaches both again.
            os.kill(os.getpid(), signal.SIGSTOP)
        elif pid:
            return status
        else:
            number = _wait(watched)
            if number is not None:
                os.kill(child, number)


def _wait(watched: set[signal.Signals]) -> int | None:
    """Wait for a signal, and return it if it is to be passed on.

    What the kernel sends, for a terminal, the whole process group has had.
    """
    if sys.platform == "darwin":
        # It does not tell where one comes from.
        number = signal.sigwait(watched)
        return number if number in _NEVER_OF_TERMINALS else None
    told = signal.sigwaitinfo(watched)
    return told.si_signo if told.si_signo != signal.SIGCHLD and told.si_code <= 0 else None


def _discard(watched: set[signal.Signals]) -> None:
    """Take the signals that are still pending, which were the program's."""
    while pending := signal.sigpending() & watched:
        signal.sigwait(pending)
