"""Finds the program for a module's `bin`."""

import os
import shutil
from collections.abc import Iterable, Iterator
from typing import Self

from airlock_daemon.errors import AND_RELOAD, Failed
from airlock_daemon.path_text import is_within
from airlock_daemon.setup.files import Finding
from airlock_daemon.setup.trust import find_untrusted
from airlock_modules import Fault


def _find_reasons(entry: str, workspaces: tuple[str, ...]) -> Iterator[str]:
    if not os.path.isabs(entry):
        yield "it is not absolute"
        return
    real = os.path.realpath(entry)
    for workspace in workspaces:
        if is_within(real, workspace):
            yield f"it lies in a workspace ({workspace})"
    for fault in find_untrusted([entry]):
        yield f"{fault.source} {fault.problem}"


class Programs:
    """Finds programs and caches their paths, like a shell.

    A removed program is searched again; a new one earlier on the path is not noticed.
    """

    def __init__(self, path: str) -> None:
        """`path` is the PATH to search, and the PATH of tools."""
        self.path = path
        self._found: dict[str, str] = {}

    @classmethod
    def of(
        cls, configured: str | None, *, workspaces: Iterable[str], warnings: list[Fault]
    ) -> Self:
        """Programs on the PATH for tools: `[daemon] path`, else the daemon's own.

        Leaves out, with a warning, entries where somebody else could put a program: relative ones,
        which would be searched from the workspace; those in one of `workspaces` (real paths), such
        as an activated virtual environment; and those that others may write.
        """
        source = "[daemon] path" if configured else "PATH"
        mapped = tuple(workspaces)
        kept = []
        for entry in dict.fromkeys(
            (configured or os.environ.get("PATH", os.defpath)).split(os.pathsep)
        ):
            reason = next(_find_reasons(entry, mapped), None)
            if reason is None:
                kept.append(entry)
            else:
                problem = f'"{entry}" is left out: {reason}'
                remedy = "remove it, or set [daemon] path"
                warnings.append(Finding(source, "", problem, remedy, name="program"))
        return cls(os.pathsep.join(kept))

    def find(self, name: str) -> str | None:
        """The absolute path of the executable `name`, which is absolute or searched for."""
        known = self._found.get(name)
        if known is not None and os.access(known, os.X_OK):
            return known
        found = self._search(name)
        if found is not None:
            self._found[name] = found
        return found

    def demand(self, name: str) -> str:
        """As `find`, but raises Failed if there is no such program."""
        found = self.find(name)
        if found is None:
            raise Failed(
                f"{name} is not an executable on the host",
                hint="a person on the host can install it, or set [daemon] path in config.toml"
                f"{AND_RELOAD}",
            )
        return found

    def _search(self, name: str) -> str | None:
        if os.path.isabs(name):
            return name if os.path.isfile(name) and os.access(name, os.X_OK) else None
        if os.sep in name:
            return None
        return shutil.which(name, path=self.path)
