"""Installs, renews and removes a service; each may be repeated."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from airlock_daemon._version import __version__
from airlock_daemon.admin.change import Change
from airlock_daemon.admin.service.launchd import Launchd
from airlock_daemon.admin.service.manager import Manager, Program, State, compare
from airlock_daemon.admin.service.systemd import Systemd
from airlock_daemon.files import make_directory, read_exact


def find_manager() -> Manager:
    """This operating system's service manager; it may be unavailable to this user."""
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        return Launchd(home=home, user=os.geteuid(), version=__version__)
    return Systemd(home=home, environment=os.environ, version=__version__)


def install(manager: Manager, program: Program, *, obstacle: str | None) -> Iterator[str]:
    """Install `program` as a service; yields what is done, as lines.

    Starts it unless there is an `obstacle`, a clause that says what keeps it from serving, and
    restarts it only if its file has changed too. A file that a person wrote or edited stays. Raises
    AirlockError.
    """
    text = manager.write(program)
    found = read_exact(manager.file)
    state = compare(found, text)
    if state in ("edited", "foreign"):
        yield from _tell_kept(manager, state)
    elif state == "current":
        yield f"{manager.file} is as it should be"
    else:
        with ExitStack() as undo:
            make_directory(os.path.dirname(manager.file), mode=0o755, undo=undo)
            Change(path=manager.file, before=found, after=text).apply(undo)
            undo.pop_all()
        yield f"{'made' if found is None else 'renewed'} {manager.file}"
    manager.prepare()
    is_running = manager.is_running()
    if obstacle is not None:
        what = "goes on as it was started" if is_running else "was not started"
        yield f"the service {what}, since {obstacle}"
    elif not is_running:
        manager.start()
        yield "the service was started"
    elif state == "outdated":
        manager.restart()
        yield "the service was restarted"
    else:
        yield "the service runs already"
    limit = manager.find_session_limit()
    if limit is not None:
        yield f"warning: linger is off: the service {limit.reason}; to change that: {limit.remedy}"


def start_installed(manager: Manager, registration: str) -> bool:
    """Start the service if one is installed that serves the file `registration`.

    Returns whether it was started. Raises AirlockError if that fails.
    """
    text = read_exact(manager.file)
    if text is None or not manager.names(text, registration) or manager.find_obstacle():
        return False
    manager.start()
    return True


def uninstall(manager: Manager) -> Iterator[str]:
    """Stop the service and remove its file; yields what is done, as lines.

    A file that a person wrote or edited is not removed. Raises AirlockError.
    """
    found = read_exact(manager.file)
    if found is None:
        yield f"no service is installed: there is no {manager.file}"
        return
    obstacle = manager.find_obstacle()
    if obstacle is None:
        manager.remove()
        yield "the service was stopped"
    else:
        yield f"the service was not stopped: {obstacle.reason}"
    # Version and options do not matter here: a valid seal means that a program wrote it.
    state = compare(found, "")
    if state == "outdated":
        with ExitStack() as undo:
            Change(path=manager.file, before=found, after=None).apply(undo)
            undo.pop_all()
        yield f"removed {manager.file}"
    else:
        yield f"{manager.file} stays, since a person has edited it: rm {shlex.quote(manager.file)}"
    if obstacle is None:
        manager.settle()


def _tell_kept(manager: Manager, state: State) -> Iterator[str]:
    edited = "a person has edited it"
    reason = edited if state == "edited" else "`init` of this release has not made it"
    yield f"warning: {manager.file} stays as it is, since {reason}"
    yield f"hint: put your own settings into {manager.advice}, then: rm {shlex.quote(manager.file)}"
    yield "hint: and airlock init again"
