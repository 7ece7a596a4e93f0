"""Accepts the workspaces of an agent as they are."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.profile import Identity
from airlock_daemon.setup.state import Noted, State, read_boot_id


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The new `notes` on an agent's workspaces; `before` are the previous ones."""

    state: State
    directory: str
    before: Mapping[str, Noted]
    notes: dict[str, Noted]

    def describe(self) -> Iterator[str]:
        """Yield the old and new notes, a line per workspace."""
        for path, noted in self.notes.items():
            before = self.before.get(path)
            now = noted.identity.describe()
            if before is None:
                yield f"{path}: {now}; nothing was noted"
            elif before.identity == noted.identity:
                yield f"{path}: {now}, as it was noted"
            else:
                yield f"{path}: {now}; noted was {before.identity.describe()}"

    def apply(self, undo: ExitStack) -> None:
        """Write the notes, and push their undo to `undo`. Raises AirlockError."""
        undo.callback(self.state.replace_notes, self.directory, self.before)
        self.state.replace_notes(self.directory, self.notes)


def plan_trust(agent: Agent, state: State, before: Mapping[str, Noted]) -> Trust:
    """Plan to accept an agent's workspaces as they are.

    `before` are its previous notes. Raises AirlockError if a workspace is no directory that can be
    opened without following a symlink.
    """
    boot = read_boot_id()
    notes = {}
    for mount in agent.mounts:
        try:
            notes[mount.source] = Noted.of(Identity.find(mount.source), boot=boot)
        except OSError as error:
            raise AirlockError(
                f"{mount.source} cannot be opened without following links: {error.strerror}",
                hint=f"write its real path in {agent.profile_file}, or put the directory back",
            ) from error
    return Trust(state=state, directory=agent.directory, before=before, notes=notes)
