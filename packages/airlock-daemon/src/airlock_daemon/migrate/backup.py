"""The backup that a migration begins with, and the script in it that takes the migration back."""

import os
import shlex
from collections.abc import Mapping

import msgspec

from airlock_daemon.migrate.layout import Layout
from airlock_daemon.migrate.steps import CopyTree, Discard, Make, Rename, Step, Write
from airlock_daemon.migrate.survey import BACKUP, COPYING, MIGRATING

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

    Its name says how far it is: being copied, whole and the migration under way, or at its end.
    """

    directory: str
    layout: Layout

    @property
    def copying(self) -> str:
        """Its path while it is made."""
        return self._named(f"{BACKUP}{self.layout}{COPYING}")

    @property
    def migrating(self) -> str:
        """Its path while the steps of the migration are carried out."""
        return self._named(f"{BACKUP}{self.layout}{MIGRATING}")

    @property
    def final(self) -> str:
        """Its path afterwards, which nothing has yet."""
        name, number = f"{BACKUP}{self.layout}", 2
        while os.path.lexists(self._named(name)):
            name, number = f"{BACKUP}{self.layout}-{number}", number + 1
        return self._named(name)

    @property
    def source(self) -> str:
        """Where what was there before is to be read: in the backup, once that is whole."""
        return self.migrating if os.path.isdir(self.migrating) else self.directory

    def begin(self, *, kept: Mapping[str, str], undo: tuple[str, ...]) -> tuple[Step, ...]:
        """The steps that make it, none where it is whole.

        `kept` are paths of files outside of the directory that are kept too, by their names in the
        backup; `undo` are the lines that take away what the migration makes.
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
