"""An agent's hooks: executables of the host's owner, in `hooks/` of the agent's directory."""

import os
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.setup.programs import find_program
from airlock_modules import Fault, TableReader


class HookLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`[hooks]`: how long a hook may take, and how much of a command's output one gets to see."""

    timeout_s: float = 30.0
    capture_max_mb: int = 16

    @property
    def capture_bytes(self) -> int:
        """The bound of what is captured of one command, both streams together."""
        return self.capture_max_mb << 20


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of the hooks that are there, whether or not they can be run.

    `ignored` are the other files beside them.
    """

    pre_exec: str | None = None
    post_exec: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(path for path in (self.pre_exec, self.post_exec) if path is not None)


def read_hook_limits(table: TableReader) -> HookLimits:
    """Read `[hooks]` of config.toml."""
    limits = HookLimits(
        timeout_s=table.number("timeout_s", default=30, minimum=0.1, maximum=3600),
        capture_max_mb=table.integer("capture_max_mb", default=16, minimum=1, maximum=1024),
    )
    table.finish()
    return limits


def find_hooks(entries: Sequence[str]) -> Hooks:
    """Tell the hooks among the paths of everything in `hooks/`."""
    named = {os.path.basename(path): path for path in entries}
    pre_exec, post_exec = named.pop("pre-exec", None), named.pop("post-exec", None)
    return Hooks(pre_exec=pre_exec, post_exec=post_exec, ignored=tuple(named.values()))


def review_hooks(hooks: Hooks) -> Iterator[Fault]:
    """Name hooks that cannot be run, and files that are none."""
    for path, effect in (
        (hooks.pre_exec, "every request of this agent is refused"),
        (hooks.post_exec, "output is passed on without it"),
    ):
        if path is not None and find_program(path, "") is None:
            problem = f"is no executable file, so that {effect}"
            yield Fault(path, "", problem, f"make it one (chmod +x {path}), or move it away")
    for path in hooks.ignored:
        yield Fault(
            path, "", "is ignored", "name a hook pre-exec or post-exec, or move the file away"
        )
