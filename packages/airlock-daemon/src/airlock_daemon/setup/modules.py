"""Which module decides for a command: an agent's own, the host's, or the built-in one.

A module replaces the one behind it in full: nothing of the two is merged.
"""

import functools
import os
from collections.abc import Mapping

import msgspec

from airlock_daemon.setup.finding import named
from airlock_daemon.setup.reading import list_entries, read_text
from airlock_modules import (
    Fault,
    Module,
    ModuleError,
    builtin_names,
    is_name,
    load_builtin,
    parse_module,
)


class Modules(msgspec.Struct, frozen=True, kw_only=True):
    """The modules of files, by command.

    `own` are those of an agent's `commands/`, `shared` those of `modules/` beside config.toml.
    """

    own: Mapping[str, Module] = {}
    shared: Mapping[str, Module] = {}

    def find(self, command: str) -> Module | None:
        """The module that decides for `command`, None where there is none."""
        return self.find_written(command) or _find_builtin(command)

    def find_written(self, command: str) -> Module | None:
        """The same, but for those that are built in."""
        return self.own.get(command) or self.shared.get(command)


def load_modules(
    directory: str, *, faults: list[Fault], warnings: list[Fault]
) -> dict[str, Module]:
    """Read every module of `directory`, which need not exist.

    A file that is not called NAME.toml is ignored, as all releases did, and told in `warnings`.
    """
    modules: dict[str, Module] = {}
    for path in list_entries(directory, faults=faults):
        stem, extension = os.path.splitext(os.path.basename(path))
        remedy = "name a module COMMAND.toml, or move the file away"
        if extension != ".toml":
            warnings.extend(named("module", [Fault(path, "", "is ignored", remedy)]))
            continue
        if not is_name(stem):
            faults.append(Fault(path, "", "is no module", remedy))
            continue
        text = read_text(path, faults=faults, remedy="make it a readable UTF-8 file")
        if text is None:
            continue
        try:
            modules[stem] = parse_module(text, name=stem, source=path)
        except ModuleError as error:
            faults.extend(error.faults)
    return modules


@functools.cache
def _find_builtin(command: str) -> Module | None:
    # It cannot change while this program runs, and is asked for once an agent and more.
    return load_builtin(command) if command in builtin_names() else None
