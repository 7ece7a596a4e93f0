"""What the evaluator is asked about and what it answers."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from airlock_modules.files.module_file import Module
from airlock_modules.reading.parsed import PathUse


class Grant(Struct, frozen=True, kw_only=True):
    """What one agent may be given.

    `ceiling` is `[commands] enable` of the host, `commands` that of the agent's profile (empty
    means everything within the ceiling). `modules` has the active module of each command: the
    agent's override, else the built-in.
    """

    ceiling: tuple[str, ...]
    commands: tuple[str, ...] = ()
    modules: Mapping[str, Module]


class Step(Struct, frozen=True):
    """One layer that was consulted, what it said, and why; for a person who asks."""

    layer: str
    verdict: str
    detail: str


class Decision(Struct, frozen=True, kw_only=True):
    """The answer to one request.

    `message` and `hint` are for the client: they quote what it sent (see `quote`), name no path of
    the host, and suggest no other spelling. `rule` is the text of the rule that decided. `steps`
    are for a person on the host. `paths` are those that an allowed request names; whether they may
    be reached is not decided here.
    """

    allowed: bool
    kind: Literal["allowed", "denied", "unknown-command"]
    layer: Literal["profile", "module"] | None = None
    rule: str | None = None
    message: str = ""
    hint: str | None = None
    steps: tuple[Step, ...] = ()
    paths: tuple[PathUse, ...] = ()
