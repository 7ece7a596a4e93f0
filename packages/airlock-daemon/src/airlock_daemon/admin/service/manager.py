"""The service: its manager, its program and environment, and how it is installed and removed.

Each step of an installation may be repeated.
"""

import hashlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Literal, Protocol, Self

import msgspec

from airlock_daemon._version import __version__
from airlock_daemon.admin.change import Change
from airlock_daemon.admin.service import SEAL
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import make_directory, read_exact
from airlock_wire import quote


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The words that run this program, from an absolute path; its options; and variables."""

    words: tuple[str, ...]
    options: tuple[str, ...]
    environment: dict[str, str]

    @property
    def argv(self) -> tuple[str, ...]:
        """The daemon's argv."""
        return (*self.words, "start", *self.options)

    @property
    def reload(self) -> tuple[str, ...]:
        """The argv that makes that daemon reload, and waits for it."""
        return (*self.words, "reload", *self.options)

    @classmethod
    def describe(cls, *options: str, environment: Mapping[str, str]) -> Self:
        """`start` with these options and the caller's PATH and SSH_AUTH_SOCK.

        Relative entries of PATH are left out: they have no meaning for a service. Raises
        AirlockError if a word cannot be written to the service's file.
        """
        entries = environment.get("PATH", os.defpath).split(os.pathsep)
        kept = {"PATH": os.pathsep.join(filter(os.path.isabs, entries))}
        if agent := environment.get("SSH_AUTH_SOCK"):
            kept["SSH_AUTH_SOCK"] = agent
        program = cls(words=Program.find_self(), options=options, environment=kept)
        for text in (*program.argv, *kept.values()):
            if not text.isprintable():
                raise AirlockError(
                    f"{quote(text)} cannot be written to the file of a service",
                    hint="rename it, without characters that cannot be printed",
                )
        return program

    @staticmethod
    def find_self() -> tuple[str, ...]:
        """The words that run this program again, the first one an absolute path.

        A symlink is kept, so that a newer version may replace its target. If called as `airlock`,
        it is the `airlock-daemon` beside it.
        """
        folder, name = os.path.split(os.path.abspath(sys.argv[0]))
        program = os.path.join(folder, "airlock-daemon")
        if name in ("airlock-daemon", "airlock") and os.access(program, os.X_OK):
            return (program,)
        return (sys.executable, "-P", "-m", "airlock_daemon")


# Starting waits until the daemon serves, stopping until its commands have ended.
_TIMEOUT_S = 600


class Obstacle(msgspec.Struct, frozen=True):
    """Why this user has no service manager, and how to get one, "" if impossible."""

    reason: str
    remedy: str = ""


class Manager(Protocol):
    """A service manager of this user. Each step that fails raises AirlockError."""

    @property
    def file(self) -> str:
        """The path of the service's file."""

    @property
    def advice(self) -> str:
        """The command or the place for a person's own settings, which installation keeps."""

    @property
    def inspection(self) -> str:
        """The command that shows what became of the service, "" if there is none."""

    def write(self, program: Program) -> str:
        """The sealed text of the file for `program`."""

    def find_obstacle(self) -> Obstacle | None:
        """Return why the manager cannot be used, None if it can."""

    def prepare(self) -> None:
        """Load the file, and have the service started with the session or at boot."""

    def is_running(self) -> bool:
        """Whether the daemon runs as this service."""

    def start(self) -> None:
        """Start the service; returns once it serves."""

    def restart(self) -> None:
        """Restart the service; returns once it serves."""

    def remove(self) -> None:
        """Stop and disable the service; its file stays."""

    def settle(self) -> None:
        """Have the manager notice that the file is gone."""

    def names(self, text: str, word: str) -> bool:
        """Whether `word` is an argument of the daemon in a file with this text."""

    def find_session_limit(self, root: str = "/") -> Obstacle | None:
        """Return how the user's sessions limit the service, if it could run without one.

        Files of the system are read below `root`. None if nothing limits it, or always.
        """


def ask(argv: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> tuple[int, str]:
    """Run a program, at most `timeout_s` seconds; returns its exit status and its output.

    127 if there is no such program, 124 on timeout.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        return 127, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {timeout_s:g} s"
    return done.returncode, (done.stderr or done.stdout).strip()


def demand(argv: Sequence[str], *, hint: str) -> None:
    """As `ask`, but it must succeed. Raises AirlockError with the output, and the hint."""
    status, said = ask(argv)
    if status != 0:
        what = " ".join((os.path.basename(argv[0]), *argv[1:]))
        raise AirlockError(f"{what} failed ({status}): {said}", hint=hint)


State = Literal["absent", "current", "outdated", "edited", "foreign"]
"""The state of a file: missing, current, an older one of ours, edited, or not ours."""

_LINE = re.compile(rf"^\W+{SEAL}([0-9a-f]{{64}})\W*$", re.MULTILINE)


def seal(text: str, *, opening: str, closing: str = "") -> str:
    """Append the seal to `text`, as a comment between `opening` and `closing`."""
    return f"{text}{opening} {SEAL}{_digest(text)} {closing}".rstrip() + "\n"


def compare(found: str | None, text: str) -> State:
    """Compare the file `found` with the sealed `text` that should be there; None is no file."""
    if found is None:
        return "absent"
    if found == text:
        return "current"
    line = _LINE.search(found)
    if line is None:
        return "foreign"
    is_last = not found[line.end() :].strip()
    is_whole = line.group(1) == _digest(found[: line.start()])
    return "outdated" if is_last and is_whole else "edited"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def find_manager() -> Manager:
    """This operating system's service manager; it may be unavailable to this user."""
    # These use what is above.
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        from airlock_daemon.admin.service.launchd import Launchd  # noqa: PLC0415

        return Launchd(home=home, user=os.geteuid(), version=__version__)
    from airlock_daemon.admin.service.systemd import Systemd  # noqa: PLC0415

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
