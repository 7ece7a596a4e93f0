"""Changes files for a person: shown first, confirmed, and undone as a whole on failure."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from airlock_daemon.admin.cli.output import ignoring_closed_stdout, print_message
from airlock_daemon.errors import AirlockError, Declined
from airlock_daemon.files import make_directory

NOTHING_CHANGED = "nothing was changed"


class Plan(Protocol):
    """Planned changes."""

    def describe(self) -> Iterator[str]:
        """Yield the changes as lines."""

    def apply(self, undo: ExitStack) -> None:
        """Make the changes, and push their undo to `undo`."""


P = TypeVar("P", bound=Plan)


@contextmanager
def alone(directories: Iterable[str], *, wait: Callable[[], None]) -> Iterator[None]:
    """Lock the directories against other Airlock programs during the block.

    If another one has a lock, calls `wait`, then waits.
    """
    with ExitStack() as opened:
        # Sorted, so that two programs cannot deadlock, and each once.
        for directory in sorted({os.path.realpath(each) for each in directories}):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def changing(
    work_out: Callable[[], P],
    *,
    directories: Sequence[str],
    yes: bool,
    show: Callable[[Iterable[str]], None],
) -> Iterator[P]:
    """Show the plan of `work_out`, ask unless `yes`, and apply it.

    With `yes` the changes are made even if nobody reads the output, as with `| head -1`. All is
    undone if the block, which may check the result, raises. The `directories`, created if missing,
    are locked against other Airlock programs. Raises what the steps raise, and AirlockError if the
    answer is no or there is no terminal: nothing is changed then.
    """
    if not yes and not os.isatty(0):
        show(work_out().describe())
        raise AirlockError(
            f"{NOTHING_CHANGED}: there is no terminal to ask at",
            hint="the same with --yes makes these changes",
        )
    with ExitStack() as undo:
        for directory in directories:
            make_directory(directory, mode=0o700, undo=undo)
        with alone(
            directories,
            wait=lambda: print_message(
                "waiting for another airlock-daemon that changes these files"
            ),
        ):
            plan = work_out()
            if yes:
                with ignoring_closed_stdout():
                    show(plan.describe())
            else:
                show(plan.describe())
                _ask()
            plan.apply(undo)
            yield plan
            undo.pop_all()


def _ask() -> None:
    try:
        print("airlock: make these changes? [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Declined(NOTHING_CHANGED)
