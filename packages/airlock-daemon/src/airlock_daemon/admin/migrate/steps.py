"""The steps of a migration: as values, as shell lines, performed, and backed up first."""

import filecmp
import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import msgspec

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.migrate import MIGRATING
from airlock_daemon.admin.migrate.layout import BACKUP, COPYING, Layout
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.files import make_directory, read_whole, replacing
from airlock_wire import is_shown, quote


class _At(msgspec.Struct, frozen=True, kw_only=True):
    path: str


class _Between(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    target: str


class Make(_At, frozen=True):
    """Create a private directory in an existing one."""


class SetMode(_At, frozen=True, kw_only=True):
    """Set the mode of an existing directory."""

    mode: int


class Write(_At, frozen=True, kw_only=True):
    """Write a text that ends with a newline; `before` is the old one, None for no file."""

    before: str | None
    after: str


class Copy(_Between, frozen=True):
    """Copy a file with its mode to an unused path."""


class CopyTree(_Between, frozen=True):
    """Copy a file or directory, keeping modes and symlinks, into an incomplete backup."""


class Rename(_Between, frozen=True):
    """Rename within the same directory, to an unused name."""


class Remove(_At, frozen=True, kw_only=True):
    """Remove a file that is unchanged in the backup."""

    backup: str


class RemoveDirectory(_At, frozen=True):
    """Remove a directory that is empty by then."""


class Discard(_At, frozen=True):
    """Remove an incomplete backup."""


PlainStep = Make | SetMode | Copy | CopyTree | Rename | Remove | RemoveDirectory | Discard
"""Steps that are one shell command each."""

Step = PlainStep | Write


def write_shell(step: Step) -> str:
    """The step as lines for a POSIX shell with umask 077."""
    if isinstance(step, Write):
        end = "END"
        while end in step.after.split("\n"):
            end += "_"
        return f"cat > {shlex.quote(step.path)} <<'{end}'\n{step.after}{end}"
    return shlex.join(_list_words(step))


def _list_words(step: PlainStep) -> tuple[str, ...]:
    match step:
        case SetMode():
            words: tuple[str, ...] = ("chmod", f"{step.mode:04o}", step.path)
        case Copy():
            words = ("cp", "-p", step.source, step.target)
        case CopyTree():
            words = ("cp", "-a", step.source, step.target)
        case Rename():
            words = ("mv", step.source, step.target)
        case Discard():
            words = ("rm", "-r", step.path)
        case Make():
            words = ("mkdir", step.path)
        case Remove():
            words = ("rm", step.path)
        case RemoveDirectory():
            words = ("rmdir", step.path)
    return words


# A step is atomic, so that an interrupted migration continues with the remaining ones. It changes
# nothing that differs from the plan's view, and writes through no symlink.

_AGAIN = "mend that, and run this again: it goes on where it was interrupted"


def is_done(step: Step) -> bool:
    """Whether the step is done.

    Raises AirlockError if something is there that neither it nor an earlier release made.
    """
    try:
        return _is_done(step)
    except OSError as error:
        raise AirlockError(f"a step cannot be looked at: {error}", hint=_AGAIN) from error


def carry_out(step: Step) -> None:
    """Perform the step, unless done; raises AirlockError, and then nothing has changed."""
    if is_done(step):
        return
    try:
        _change(step)
    except (OSError, shutil.Error) as error:
        raise AirlockError(f"a step cannot be carried out: {error}", hint=_AGAIN) from error


def _is_done(step: Step) -> bool:
    match step:
        case Make():
            done = _is_there(step.path, is_directory=True)
        case SetMode():
            done = stat.S_IMODE(os.lstat(step.path).st_mode) == step.mode
        case Write():
            done = _is_written(step)
        case Copy():
            done = _is_there(step.target) and _is_same(step.target, step.source)
        case Rename():
            done = _is_renamed(step)
        case Remove():
            done = _is_removed(step)
        case RemoveDirectory() | Discard():
            done = not os.path.lexists(step.path)
        case CopyTree():
            done = False
    return done


def _change(step: Step) -> None:
    match step:
        case Make():
            with ExitStack() as undo:
                make_directory(step.path, mode=0o700, undo=undo)
                undo.pop_all()
        case SetMode():
            directory = os.open(step.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.fchmod(directory, step.mode)
            finally:
                os.close(directory)
        case Write():
            with ExitStack() as undo:
                Change(path=step.path, before=step.before, after=step.after).apply(undo)
                undo.pop_all()
        case Copy():
            _copy_whole(step.source, step.target)
        case CopyTree():
            _copy_tree(step.source, step.target)
        case Rename():
            _sync(step.source)
            os.rename(step.source, step.target)
        case Remove():
            _is_same(step.path, step.backup)
            os.unlink(step.path)
        case RemoveDirectory():
            os.rmdir(step.path)
        case Discard():
            shutil.rmtree(step.path)


def _is_written(step: Write) -> bool:
    text = read_whole(step.path) if _is_there(step.path) else None
    if text not in (step.before, step.after):
        raise _in_the_way(step.path)
    return text == step.after


def _is_removed(step: Remove) -> bool:
    is_there = _is_there(step.path)
    # Before the first step there is no backup.
    if is_there and os.path.lexists(step.backup):
        _is_same(step.path, step.backup)
    return not is_there


def _is_renamed(step: Rename) -> bool:
    is_there = os.path.lexists(step.target)
    if is_there and os.path.lexists(step.source):
        raise _in_the_way(step.target)
    return is_there


def _is_there(path: str, *, is_directory: bool = False) -> bool:
    """Whether a directory or file is there; raises AirlockError for other kinds and symlinks."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if not (stat.S_ISDIR(mode) if is_directory else stat.S_ISREG(mode)):
        raise _in_the_way(path)
    return True


def _is_same(path: str, other: str) -> bool:
    # Without a backup, it is not a copy.
    if not os.path.lexists(other) or not filecmp.cmp(path, other, shallow=False):
        raise _in_the_way(path)
    return True


def _copy_tree(source: str, target: str) -> None:
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _sync(path: str) -> None:
    """Flush a whole backup to disk, so that it survives a loss of power from now on."""
    for directory, _, names in os.walk(path):
        for file in (*(os.path.join(directory, name) for name in names), directory):
            if not os.path.islink(file):
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                os.fsync(descriptor)
                os.close(descriptor)


def _copy_whole(source: str, target: str) -> None:
    with open(source, "rb") as old, replacing(target) as new:
        shutil.copyfileobj(old, new)
        new.flush()
        shutil.copystat(source, new.name)


def _in_the_way(path: str) -> AirlockError:
    return AirlockError(
        f"{path} is neither as a migration finds it nor as it leaves it",
        hint="look what it is, move it away or put it back, and run this again",
    )


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """All that one layout's migration needs, done or not.

    `steps` read the old files from the backup, and start once it is complete. `undo` are shell
    lines, run in the configuration's directory, that remove what they create. `kept` are the files
    outside of it that they change, by name in the backup. `changes` say what behaves differently
    afterwards, `losses` what overrides lack, `hints` what a person has to do, each in a line.
    """

    steps: tuple[Step, ...]
    undo: tuple[str, ...] = ()
    kept: Mapping[str, str] = {}
    changes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The remaining steps of a migration from `layout`; `backup` is the final backup's path."""

    layout: Layout
    steps: tuple[Step, ...]
    changes: tuple[str, ...]
    losses: tuple[str, ...]
    hints: tuple[str, ...]
    backup: str

    def describe(self) -> Iterator[str]:
        """The plan as equivalent lines for a POSIX shell, with the rest in comments."""
        yield f"# Files of Airlock {self.layout} become files of this release."
        for title, lines in (
            ("What works otherwise afterwards:", self.changes),
            ("What overrides lack of the built-in modules, as `check` says too:", self.losses),
            ("What is left to you:", self.hints),
        ):
            if lines:
                yield f"# {title}"
            # Texts from files must not become commands here.
            yield from (f"#   {each if is_shown(each) else quote(each)}" for each in lines)
        yield "umask 077"
        yield from map(write_shell, self.steps)

    def apply(self, undo: ExitStack) -> None:  # noqa: ARG002 - the backup has the way back
        """Perform the steps. Raises AirlockError, and then the next plan has the remaining ones."""
        for step in self.steps:
            carry_out(step)


UNDO = "undo.sh"
SERVICE = "airlock.service"
_NAMES = ("config.toml", "agents.toml", "commands", "hooks", "profiles", "modules")

_SCRIPT = """\
# Takes back the migration from Airlock {layout}. Stop the daemon, then: sh {undo}
set -eu
backup=$(cd "$(dirname "$0")" && pwd)
cd {directory}
{lines}
rm -r "$backup"
"""


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """The backup of one migration of the configuration `directory`.

    Its name shows its state: being copied, complete with the migration in progress, or final.
    """

    directory: str
    layout: Layout

    @property
    def copying(self) -> str:
        """Its path while it is made."""
        return self._named(f"{BACKUP}{self.layout}{COPYING}")

    @property
    def migrating(self) -> str:
        """Its path while the steps are performed."""
        return self._named(f"{BACKUP}{self.layout}{MIGRATING}")

    @property
    def final(self) -> str:
        """Its final path, not used yet."""
        name, number = f"{BACKUP}{self.layout}", 2
        while os.path.lexists(self._named(name)):
            name, number = f"{BACKUP}{self.layout}-{number}", number + 1
        return self._named(name)

    @property
    def source(self) -> str:
        """The directory to read the old files from: the backup, once it is complete."""
        return self.migrating if os.path.isdir(self.migrating) else self.directory

    def begin(self, *, kept: Mapping[str, str], undo: tuple[str, ...]) -> tuple[Step, ...]:
        """The steps that make it, none if it is complete.

        `kept` are files outside of the directory to back up too, by name in the backup; `undo` are
        the lines that remove what the migration creates.
        """
        if self.source == self.migrating:
            return ()
        there = [name for name in _NAMES if os.path.lexists(self._named(name))]
        lines = [*undo, *(f'cp -a "$backup/{name}" .' for name in there)]
        copies: list[Step] = [
            CopyTree(source=self._named(name), target=os.path.join(self.copying, name))
            for name in there
        ]
        for name, path in kept.items():
            lines.append(f'cp -p "$backup"/{shlex.quote(name)} {shlex.quote(path)}')
            copies.append(CopyTree(source=path, target=os.path.join(self.copying, name)))
        text = _SCRIPT.format(
            layout=self.layout,
            undo=shlex.quote(os.path.join(self.final, UNDO)),
            directory=shlex.quote(self.directory),
            lines="\n".join(lines),
        )
        return (
            *([Discard(path=self.copying)] if os.path.lexists(self.copying) else []),
            Make(path=self.copying),
            *copies,
            Write(path=os.path.join(self.copying, UNDO), before=None, after=text),
            Rename(source=self.copying, target=self.migrating),
        )

    def end(self) -> Step:
        """The last step."""
        return Rename(source=self.migrating, target=self.final)

    def _named(self, name: str) -> str:
        return os.path.join(self.directory, name)
