"""The steps of a migration, and the backup that takes them back."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import msgspec

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.migrate import EARLY, MIGRATING
from airlock_daemon.admin.migrate.layout import BACKUP, COPYING, FILES, Layout
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import make_directory, replacing, write_text
from airlock_wire import quote


class Replace(Change, frozen=True, kw_only=True):
    """A changed file, of which only the new text is shown."""

    def describe(self) -> Iterator[str]:
        """Yield the new text as lines."""
        yield f"replace {self.path}:"
        yield from (f"    {line}".rstrip() for line in (self.after or "").splitlines())


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Copy a file, with its mode, to a path that is free."""

    source: str
    path: str

    def describe(self) -> Iterator[str]:
        """Yield the step as a line."""
        yield f"copy {self.source} to {self.path}"

    def apply(self, undo: ExitStack) -> None:
        """Copy the file, and push the undo to `undo`. Raises OSError."""
        with open(self.source, "rb") as old, replacing(self.path) as new:
            shutil.copyfileobj(old, new)
            new.flush()
            shutil.copystat(self.source, new.name)
        undo.callback(os.unlink, self.path)


class Rename(msgspec.Struct, frozen=True, kw_only=True):
    """Rename a file or directory to a path that is free."""

    source: str
    path: str

    def describe(self) -> Iterator[str]:
        """Yield the step as a line."""
        yield f"move {self.source} to {self.path}"

    def apply(self, undo: ExitStack) -> None:
        """Rename it, and push the undo to `undo`. Raises OSError."""
        os.rename(self.source, self.path)
        undo.callback(os.rename, self.path, self.source)


class MakePrivate(msgspec.Struct, frozen=True, kw_only=True):
    """Let nobody else into a directory, which is made if it is missing."""

    path: str

    def describe(self) -> Iterator[str]:
        """Yield the step as a line."""
        yield f"let nobody else into {self.path}"

    def apply(self, undo: ExitStack) -> None:
        """Set the mode, and push the undo to `undo`. Raises OSError."""
        make_directory(self.path, mode=0o700, undo=undo)
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            undo.callback(os.chmod, self.path, stat.S_IMODE(os.fstat(directory).st_mode))
            os.fchmod(directory, 0o700)
        finally:
            os.close(directory)


Step = Change | Copy | Rename | MakePrivate


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """All that one layout's migration needs.

    `undo` are shell lines, run in the configuration's directory, that remove what the steps make.
    `kept` are the files outside of it that they change, by name in the backup; `moved` the
    directories there that only the backup has afterwards. `changes` say what behaves differently
    then, `losses` what overrides lack, `hints` what a person has to do, each in a line.
    """

    steps: tuple[Step, ...]
    undo: tuple[str, ...] = ()
    kept: Mapping[str, str] = {}
    moved: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


UNDO = "undo.sh"
SERVICE = "airlock.service"

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
    `undo`, `kept` and `moved` are as in a draft.
    """

    directory: str
    layout: Layout
    undo: tuple[str, ...]
    kept: Mapping[str, str]
    moved: tuple[str, ...]

    @property
    def final(self) -> str:
        """Its final path, not used yet."""
        name, number = f"{BACKUP}{self.layout}", 2
        while os.path.lexists(os.path.join(self.directory, name)):
            name, number = f"{BACKUP}{self.layout}-{number}", number + 1
        return os.path.join(self.directory, name)

    def begin(self, undo: ExitStack) -> str:
        """Make it, and return its path; push the undo to `undo`. Raises OSError, AirlockError."""
        path = os.path.join(self.directory, f"{BACKUP}{self.layout}")
        copying, migrating = path + COPYING, path + MIGRATING
        if os.path.isdir(copying):
            # Whoever made it was interrupted, and had changed nothing yet.
            shutil.rmtree(copying)
        os.mkdir(copying, 0o700)
        undo.callback(_discard, copying)
        files = [name for name in FILES if os.path.exists(os.path.join(self.directory, name))]
        kept = {name: os.path.join(self.directory, name) for name in files} | {**self.kept}
        for name, source in kept.items():
            shutil.copy2(source, os.path.join(copying, name))
        lines = [*self.undo, *(f'cp -a "$backup/{name}" .' for name in files)]
        lines += (f'[ ! -e "$backup/{name}" ] || mv "$backup/{name}" .' for name in self.moved)
        for name, source in self.kept.items():
            lines.append(f'cp -p "$backup"/{shlex.quote(name)} {shlex.quote(source)}')
        text = _SCRIPT.format(
            layout=self.layout,
            undo=shlex.quote(os.path.join(self.final, UNDO)),
            directory=shlex.quote(self.directory),
            lines="\n".join(lines),
        )
        write_text(os.path.join(copying, UNDO), text)
        _sync(copying)
        os.rename(copying, migrating)
        undo.callback(_discard, migrating)
        return migrating


def _discard(path: str) -> None:
    # What could not be moved back is nowhere else.
    if not any(os.path.lexists(os.path.join(path, name)) for name in EARLY):
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: str) -> None:
    """Flush the backup to disk, so that it survives a loss of power from now on."""
    for name in (*os.listdir(path), "."):
        descriptor = os.open(os.path.join(path, name), os.O_RDONLY | os.O_NOFOLLOW)
        os.fsync(descriptor)
        os.close(descriptor)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A migration: its steps, its backup, which is at `kept_in` afterwards, and what changes."""

    draft: Draft
    backup: Backup
    kept_in: str

    @property
    def steps(self) -> list[str]:
        """The steps as lines."""
        moved = f"move {', '.join(f'{name}/' for name in self.backup.moved)} there"
        return [
            f"copy what changes to {self.kept_in}",
            *(line for step in self.draft.steps for line in step.describe()),
            *([moved] if self.backup.moved else []),
        ]

    def describe(self) -> Iterator[str]:
        """The plan as lines."""
        yield f"Files of Airlock {self.backup.layout} become files of this release."
        for title, lines in (
            ("What works otherwise afterwards:", self.draft.changes),
            (
                "What overrides lack of the built-in modules, as `check` says too:",
                self.draft.losses,
            ),
            ("What is left to you:", self.draft.hints),
        ):
            if lines:
                yield title
            # Texts from files must not become others on a terminal.
            yield from (f"  {each if each.isprintable() else quote(each)}" for each in lines)
        yield "What is done:"
        yield from (f"  {line}" for line in self.steps)

    def dump(self) -> dict[str, object]:
        """The plan for programs."""
        return {
            "layout": self.backup.layout,
            "config": self.backup.directory,
            "backup": self.kept_in,
            "changes": self.draft.changes,
            "losses": self.draft.losses,
            "hints": self.draft.hints,
            "steps": self.steps,
        }

    def describe_result(self) -> Iterator[str]:
        """What is there after the migration, and how to go back, as lines."""
        yield f"{self.backup.directory} has the files of this release now"
        undo = shlex.quote(os.path.join(self.kept_in, UNDO))
        yield f"what was there is in {self.kept_in}; to go back: sh {undo}"

    def apply(self, undo: ExitStack) -> None:
        """Perform the steps. Raises AirlockError, and then `undo` takes back those performed."""
        try:
            made = self.backup.begin(undo)
            for step in self.draft.steps:
                make_directory(os.path.dirname(step.path), mode=0o700, undo=undo)
                step.apply(undo)
            for name in self.backup.moved:
                source = os.path.join(self.backup.directory, name)
                Rename(source=source, path=os.path.join(made, name)).apply(undo)
            os.rename(made, self.kept_in)
            # An interrupt may still come.
            undo.callback(os.rename, self.kept_in, made)
        except (OSError, shutil.Error) as error:
            raise AirlockError(
                f"a step failed, and nothing is changed: {error}",
                hint="mend that, and run this again",
            ) from error
