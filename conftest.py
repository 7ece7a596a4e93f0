"""A test that hangs is a test that fails, and the only one: those on trio are cancelled.

pytest-timeout raises its error from a signal handler. In the middle of trio.run that leaves a run
behind which never ends, and each later test on trio would fail for it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from traceback import StackSummary
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, settings
from pytest_timeout import timeout_sigalrm

from airlock_conformance.inherited_signals import keep_to_ourselves

_PATIENCE_S = 10
"""A test that has not ended so long after its time was over is failed again, until it ends.

No longer than its time was.
"""

_CANCEL = pytest.StashKey[Callable[[], None]]()
"""How to cancel the test that runs."""


def pytest_configure() -> None:
    """Let what tests start have its signals, also where pytest runs under nohup or with ``&``.

    Take the wrappers of version managers (pyenv, asdf, mise) off PATH: what they run depends on the
    home and the directory of the caller, and tests start tools in others.

    No example of hypothesis fails for being slow: machines are busy.
    """
    keep_to_ourselves()
    settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("untimed")
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(
        entry for entry in entries if os.path.basename(entry.rstrip("/")) != "shims"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the processor time of the run: of this process, and of those that have ended."""
    used = os.times()
    own, others = used.user + used.system, used.children_user + used.children_system
    terminalreporter.write_line(f"{own + others:.0f} s of processor time")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let trio run the test, with its fixtures, where it can be cancelled from outside."""
    if item.get_closest_marker("trio") is not None:
        item.add_marker(pytest.mark.trio(run=partial(_run, item)), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Set the timer of a test: it cancels one on trio, and fails another with the stacks.

    It goes on after that: what the failure passes on its way out, such as the end of a process that
    is waited for, may hang as well.
    """
    if settings.method != "signal":
        return None

    def act(_number: int, _frame: object) -> None:
        cancel = item.stash.get(_CANCEL, None)
        if cancel is None:
            timeout_sigalrm(item, settings)
            return
        del item.stash[_CANCEL]
        cancel()

    def stop() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = stop  # type: ignore[attr-defined]  # what pytest-timeout calls
    signal.signal(signal.SIGALRM, act)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, min(settings.timeout, _PATIENCE_S))
    return True


def _run(item: pytest.Item, function: Callable[..., Any], **options: Any) -> Any:
    stacks: list[str] = []

    async def run() -> Any:
        with trio.CancelScope() as scope:

            def end() -> None:
                stacks.extend(_describe(trio.lowlevel.current_root_task()))
                scope.cancel()

            token = trio.lowlevel.current_trio_token()
            cancel: Callable[[], None] = partial(token.run_sync_soon, end)
            item.stash[_CANCEL] = cancel
            return await function()
        pytest.fail("\n".join(["Timeout: the test was cancelled. Its tasks:", *stacks]))

    return trio.run(run, **options)


def _describe(task: trio.lowlevel.Task | None) -> Iterator[str]:
    """Say where a task and all below it wait."""
    if task is None:
        return
    yield f"{task.name}:"
    yield from StackSummary.extract(task.iter_await_frames()).format()
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _describe(child)
