"""Limits on an agent's use of the daemon, so that no agent starves another."""

import os
from typing import Self

import msgspec

from airlock_modules import TableReader


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The `[limits]` table: counts, bytes (`_bytes`) and seconds (`_s`), for each agent.

    `stdin_bytes` and `output_bytes` bound what the daemon buffers per command and direction.
    `refusals_per_s` is the rate of refusals that are answered without delay: of requests, and of
    connections beyond their limit. `log_bytes_s` is the long-term rate of an agent's audit records
    (`audit.ledger`).

    Those of boxes are per box: processes and threads, MiB of private memory per process, of each
    written file, and of /tmp. With cgroups (`command.groups`) the memory limit also applies to all
    boxes of an agent together.
    """

    connections: int = 1024
    running: int = 64
    queued: int = 1024
    queue_s: float = 60.0
    request_bytes: int = 4_194_304
    arguments: int = 10_000
    request_s: float = 10.0
    refusals_per_s: float = 200.0
    stdin_bytes: int = 262_144
    output_bytes: int = 1_048_576
    log_bytes_s: float = 32_768.0
    box_processes: int = 1024
    box_memory_mb: int = 4096
    box_file_mb: int = 65_536
    box_tmpfs_mb: int = 256

    def share_descriptors(self, *, table: int, agents: int, has_pre_exec: bool = False) -> Self:
        """Lower them so that all agents at their limits fit into `table` descriptors.

        Otherwise the first agent to fill the table shuts out all others. An agent that
        `has_pre_exec` may have as many hooks as commands at once, each with as many descriptors.
        """
        running = COMMAND_DESCRIPTORS * (2 if has_pre_exec else 1)
        share = (table - OWN_DESCRIPTORS) // max(agents, 1)
        return msgspec.structs.replace(
            self,
            connections=max(1, min(self.connections, share // (2 * CONNECTION_DESCRIPTORS))),
            running=max(1, min(self.running, share // (2 * running))),
        )


# The most descriptors that the daemon needs: for itself and prewarmed boxes; per connection with a
# waiting request (itself, a directory, three passed ones); and in addition per running command.
OWN_DESCRIPTORS = 112
CONNECTION_DESCRIPTORS = 5
COMMAND_DESCRIPTORS = 12

_BOUNDS: dict[str, tuple[int, int]] = {
    "connections": (1, 100_000),
    "running": (1, 10_000),
    "queued": (0, 100_000),
    "queue_s": (0, 86_400),
    "request_bytes": (1024, 67_108_864),
    "arguments": (1, 1_000_000),
    "request_s": (1, 3600),
    "refusals_per_s": (1, 1_000_000),
    "stdin_bytes": (4096, 16_777_216),
    "output_bytes": (4096, 16_777_216),
    "log_bytes_s": (1024, 1_073_741_824),
    "box_processes": (16, 1_000_000),
    "box_memory_mb": (64, 16_777_216),
    "box_file_mb": (1, 16_777_216),
    "box_tmpfs_mb": (4, 16_777_216),
}


def read_limits(table: TableReader, *, upper: Limits | None = None) -> Limits:
    """Read a `[limits]` table; a value above `upper` is a fault (a profile may only lower)."""
    base = upper or Limits(box_memory_mb=_find_memory_mb())
    values: dict[str, float] = {}
    for name, (minimum, maximum) in _BOUNDS.items():
        default = getattr(base, name)
        read = table.number if name.endswith("_s") else table.integer
        value = read(name, default=default, minimum=minimum, maximum=maximum)
        if upper is not None and value > default:
            table.fault(
                name,
                f"{value:g} is more than the {default:g} of config.toml",
                "lower it here, or raise [limits] in config.toml",
            )
            value = default
        values[name] = value
    table.finish()
    return Limits(**values)  # type: ignore[arg-type]


def _find_memory_mb() -> int:
    """Half of this host's memory, so that one agent's boxes leave some to others."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1024, memory >> 21)


class HookLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`[hooks]`: a hook's timeout, and how much of a command's output it gets."""

    timeout_s: float = 30.0
    capture_max_mb: int = 16

    @property
    def capture_bytes(self) -> int:
        """The most captured bytes of one command, both streams together."""
        return self.capture_max_mb << 20


def read_hook_limits(table: TableReader) -> HookLimits:
    """Read `[hooks]` of config.toml."""
    limits = HookLimits(
        timeout_s=table.number("timeout_s", default=30, minimum=0.1, maximum=3600),
        capture_max_mb=table.integer("capture_max_mb", default=16, minimum=1, maximum=1024),
    )
    table.finish()
    return limits
