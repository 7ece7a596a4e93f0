"""The whole of a migration: what is left to do, and what becomes different by it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import msgspec

from airlock_daemon.migrate.carrying_out import carry_out
from airlock_daemon.migrate.layout import Layout
from airlock_daemon.migrate.steps import Step, write_shell
from airlock_wire import quote


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What one layout takes, whether some of it has been done or not.

    `steps` read what was there from the backup, and begin once that is whole. `undo` are lines of
    shell that take away what they make, in the configuration's directory. `kept` are the files
    outside of it which they change, by their names in the backup. `changes` say what works
    otherwise afterwards, `losses` what overrides lack, `hints` what a person has to do besides, a
    line each.
    """

    steps: tuple[Step, ...]
    undo: tuple[str, ...] = ()
    kept: Mapping[str, str] = {}
    changes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to do of a migration from `layout`; `backup` is where what was there will be."""

    layout: Layout
    steps: tuple[Step, ...]
    changes: tuple[str, ...]
    losses: tuple[str, ...]
    hints: tuple[str, ...]
    backup: str

    def describe(self) -> Iterator[str]:
        """The plan as lines of a POSIX shell that do the same, and the rest in comments."""
        yield f"# Files of Airlock {self.layout} become files of this release."
        for title, lines in (
            ("What works otherwise afterwards:", self.changes),
            ("What overrides lack of the built-in modules, as `check` says too:", self.losses),
            ("What is left to you:", self.hints),
        ):
            if lines:
                yield f"# {title}"
            # What files say may hold anything, and here it must not become a command.
            yield from (f"#   {each if each.isprintable() else quote(each)}" for each in lines)
        yield "umask 077"
        yield from map(write_shell, self.steps)

    def apply(self, undo: ExitStack) -> None:  # noqa: ARG002 - the backup has the way back
        """Carry out the steps. Raises AirlockError, and then the next plan has those left."""
        for step in self.steps:
            carry_out(step)
