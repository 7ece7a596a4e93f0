"""Which module decides on a command: an agent's own, the host's, or the built-in one.

A module replaces the next one in full; only a box, and APIs, that its file does not mention are
taken from the built-in. A module with the box "home", as migrated modules of earlier releases have,
is granted no API.
"""

import difflib
import functools
import os
from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from airlock_daemon.files import list_entries, named, read_text
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
    """The modules of files, by command, as written.

    `own` are those of an agent's `commands/`, `shared` those of `modules/` beside config.toml.
    """

    own: Mapping[str, Module] = {}
    shared: Mapping[str, Module] = {}

    def find(self, command: str) -> Module | None:
        """The module that decides on `command`, None if there is none."""
        written = self.find_written(command)
        return _find_builtin(command) if written is None else Modules.add_default_box(written)

    def find_written(self, command: str) -> Module | None:
        """As `find`, without built-in modules."""
        return self.own.get(command) or self.shared.get(command)

    @staticmethod
    def read_folder(
        directory: str, *, faults: list[Fault], warnings: list[Fault]
    ) -> dict[str, Module]:
        """Read every module of `directory`, which may be missing.

        A file not named NAME.toml is ignored, as in all releases, and added to `warnings`.
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

    @staticmethod
    def add_default_box(module: Module) -> Module:
        """The module with a box and APIs if its file does not mention them.

        The box is the built-in's for an override, and for any module that runs a built-in's
        program. Others have none, and are refused (`Module.lacks_box`). A broker needs none. An
        override in a closed box keeps the built-in's APIs.
        """
        if module.broker is not None:
            return module
        program = module.bin.rpartition("/")[2]
        # A built-in is named like its program.
        found = (_find_builtin(name) for name in (module.name, program))
        commands = (each for each in found if each is not None and each.has_command)
        builtin = next((each for each in commands if each.broker is None), None)
        sandbox = module.sandbox
        if sandbox is None:
            sandbox = None if builtin is None else builtin.sandbox
        own, is_closed = _find_builtin(module.name), sandbox is not None and sandbox.box == "closed"
        if own is not None and is_closed and not module.apis:
            module = replace(module, apis=own.apis, clients=own.clients)
        return replace(module, sandbox=sandbox)

    @staticmethod
    def suggest_nearest(name: str, known: Iterable[str] = ()) -> str:
        """Start of a hint on `name`: a similar built-in or `known` name, else ""."""
        nearest = difflib.get_close_matches(name, {*builtin_names(), *known}, n=1)
        return f'write "{nearest[0]}", or ' if nearest else ""


@functools.cache
def _find_builtin(command: str) -> Module | None:
    # It cannot change while this program runs, and is needed at least once per agent.
    return load_builtin(command) if command in builtin_names() else None
