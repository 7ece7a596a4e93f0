"""What taking an agent out of the registration takes, and what is left of it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import msgspec

from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.setup.agents import PROFILE, read_registration
from airlock_daemon.setup.new_files import MADE
from airlock_daemon.setup.toml_edit import remove_table
from airlock_daemon.setup.writing import Change, edit, read_whole
from airlock_modules import Fault


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What goes: lines of the registration and, where nothing is `kept`, the agent's directory.

    `kept` says what is in the directory that `agent add` has not made, so that all of it stays.
    """

    changes: tuple[Change, ...]
    directory: str
    kept: tuple[str, ...]

    def describe(self) -> Iterator[str]:
        """What goes and what stays, a line each."""
        for change in self.changes:
            yield from change.describe()
        yield from (f"keep {each}" for each in self.kept)

    def apply(self, undo: ExitStack) -> None:
        """Make all of it; what takes it back is pushed to `undo`. Raises AirlockError."""
        for change in self.changes:
            change.apply(undo)
        if not self.kept:
            # What came into it meanwhile keeps it.
            with suppress(OSError):
                os.rmdir(self.directory)


def plan_removal(name: str, registration: str) -> Removal:
    """Work out what it takes to remove the agent `name`. Nothing is changed.

    Raises AirlockError and SetupError where that cannot be done.
    """
    text = read_whole(registration)
    faults: list[Fault] = []
    registered = read_registration(registration, faults=faults)
    if faults:
        raise SetupError(tuple(faults))
    if text is None or name not in registered:
        raise AirlockError(
            f"no agent {name} is registered in {registration}",
            hint="see: airlock-daemon agent list",
        )
    after = edit(text, lambda before: remove_table(before, name))
    if after is None:
        raise AirlockError(
            f"{registration} names {name} in a form that is not changed by a program",
            hint="remove it there by hand",
        )
    directory = registered.pop(name)
    kept = tuple(_find_kept(directory, registered))
    changes = [Change(path=registration, before=text, after=after)]
    if not kept:
        profile = os.path.join(directory, PROFILE)
        changes.append(Change(path=profile, before=read_whole(profile), after=None))
    return Removal(changes=tuple(changes), directory=directory, kept=kept)


def _find_kept(directory: str, others: dict[str, str]) -> Iterator[str]:
    """Say what keeps an agent's directory: anything that was not made together with it."""
    for name, other in others.items():
        if os.path.realpath(other) == os.path.realpath(directory):
            yield f"{directory}, which agent {name} uses too"
    if os.path.islink(directory) or not os.path.isdir(directory):
        yield f"{directory}, which is no directory of its own"
        return
    for entry in sorted(os.listdir(directory)):
        path = os.path.join(directory, entry)
        is_ours = entry == PROFILE and os.path.isfile(path) and not os.path.islink(path)
        if not (is_ours and (read_whole(path) or "").startswith(MADE)):
            yield path
