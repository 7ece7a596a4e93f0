"""The programs of enabled commands, as the daemon and as the caller's shell find them."""

import os
from collections.abc import Iterator

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.programs import find_program


def find_missing_tools(around: Surroundings) -> Iterator[Finding]:
    """Tell commands whose program is not on the daemon's PATH, and where the shell has it."""
    path = around.daemon_path
    for module in around.list_modules():
        # Where a command uses APIs, the tool may be the image's own.
        if not module.uses_apis and find_program(module.bin, path) is None:
            seen = find_program(module.bin, _shell_path(around))
            problem = f"is not an executable on the daemon's PATH ({path})"
            if seen:
                problem += f", though your shell finds {seen}"
            remedy = _prefer(seen, path) if seen else "install it"
            yield Finding(module.bin, "", problem, remedy, name="tools")


def find_other_tools(around: Surroundings) -> Iterator[Finding]:
    """Tell where the caller's shell would run another program than the daemon does."""
    path = around.daemon_path
    for module in around.list_modules():
        ours, theirs = (find_program(module.bin, each) for each in (path, _shell_path(around)))
        if ours and theirs and os.path.realpath(ours) != os.path.realpath(theirs):
            problem = f"is {ours} for the daemon, and {theirs} in your shell"
            remedy = f"if it should be yours: {_prefer(theirs, path)}"
            yield Finding(module.bin, "", problem, remedy, name="shell-path", is_note=True)


def _shell_path(around: Surroundings) -> str:
    return around.environment.get("PATH", os.defpath)


def _prefer(program: str, path: str) -> str:
    return f'set [daemon] path = "{os.path.dirname(program)}:{path}" in config.toml'
