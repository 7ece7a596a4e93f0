"""What the evaluator is asked about and what it answers."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from airlock_modules.files.module_file import Module
from airlock_modules.reading.parsed import Parsed, PathUse
from airlock_modules.reading.plain import PlainReading


class Grant(Struct, frozen=True, kw_only=True):
    """What one agent may be given.

    `ceiling` is `[commands] enable` of the host, `commands` that of the agent's profile (empty
    means everything within the ceiling). `modules` has the active module of each command, narrowed
    by what the profile refuses besides.
    """

    ceiling: tuple[str, ...]
    commands: tuple[str, ...] = ()
    modules: Mapping[str, Module]

    def grants(self, command: str) -> bool:
        """Whether the host enables a command, and the profile grants it."""
        return command in self.ceiling and (not self.commands or command in self.commands)


class Step(Struct, frozen=True):
    """One layer that was consulted, what it said, and why; for a person who asks."""

    layer: str
    verdict: str
    detail: str


class Decision(Struct, frozen=True, kw_only=True):
    """The answer to one request.

    `message` and `hint` are for the client: they quote what it sent (see `quote`), name no path of
    the host, and suggest no other spelling. `rule` is the text of the rule that decided, `reason`
    why the module has it, if it says so; a message ends with it. `steps` are for a person on the
    host. `reading` is how the arguments were read, None where no module was
    asked.
    """

    allowed: bool
    kind: Literal["allowed", "denied", "unknown-command"]
    layer: Literal["profile", "module", "sandbox"] | None = None
    rule: str | None = None
    reason: str | None = None
    message: str = ""
    hint: str | None = None
    steps: tuple[Step, ...] = ()
    reading: Parsed | PlainReading | None = None

    @property
    def paths(self) -> tuple[PathUse, ...]:
        """The paths that an allowed request names; whether they may be reached is not decided."""
        return self.reading.paths if self.allowed and isinstance(self.reading, Parsed) else ()
