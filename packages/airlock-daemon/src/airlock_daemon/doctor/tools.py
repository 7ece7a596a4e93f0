"""The programs of enabled commands, as the daemon and as the caller's shell find them."""

import os
import shlex
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.programs import find_program


def find_missing_tools(around: Surroundings) -> Iterator[Finding]:
    """Tell commands whose program is not on the daemon's PATH, and where the shell has it."""
    path = around.daemon_path
    for module in around.list_modules():
        if find_program(module.bin, path) is not None:
            continue
        seen = find_program(module.bin, around.environment.get("PATH", os.defpath))
        folder = os.path.dirname(seen) if seen else ""
        remedy = f'set [daemon] path = "{folder}:{path}" in config.toml' if seen else "install it"
        yield Finding(
            module.bin,
            "",
            f"is not an executable on the daemon's PATH ({path})"
            + (f", though your shell finds {seen}" if seen else ""),
            remedy,
            name="tools",
        )


def find_other_tools(around: Surroundings) -> Iterator[Finding]:
    """Tell where the caller's shell would run another program than the daemon does."""
    path = around.daemon_path
    for module in around.list_modules():
        if os.path.isabs(module.bin):
            continue
        ours = find_program(module.bin, path)
        theirs = find_program(module.bin, around.environment.get("PATH", os.defpath))
        if ours and theirs and os.path.realpath(ours) != os.path.realpath(theirs):
            yield Finding(
                module.bin,
                "",
                f"is {ours} for the daemon, and {theirs} in your shell",
                f"if it should be yours: ln -s {shlex.quote(theirs)} in a directory that comes "
                f"first in [daemon] path of config.toml, or name it as bin of a module",
                name="shell-path",
                is_note=True,
            )
