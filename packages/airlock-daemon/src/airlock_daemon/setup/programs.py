"""Which file is executed for a module's `bin`."""

import os
import shutil


def search_path(configured: str | None) -> str:
    """The PATH for tools: `[daemon] path`, else the daemon's own without entries that are relative.

    A relative or empty entry would be searched from the workspace, where the agent can write.
    """
    entries = (configured or os.environ.get("PATH", os.defpath)).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if os.path.isabs(entry))


def find_program(name: str, path: str) -> str | None:
    """Absolute path of the executable for `name`, which is absolute or searched on `path`."""
    if os.path.isabs(name):
        return name if os.path.isfile(name) and os.access(name, os.X_OK) else None
    if os.sep in name:
        return None
    return shutil.which(name, path=path)


class Programs:
    """Finds programs and remembers where they were, as a shell does.

    One that is gone is searched anew; one that appears before it on the path is not noticed.
    """

    def __init__(self, path: str) -> None:
        """`path` is the PATH that is searched, and the one that tools get."""
        self.path = path
        self._found: dict[str, str] = {}

    def find(self, name: str) -> str | None:
        """Absolute path of the executable for `name`, as `find_program` gives it."""
        known = self._found.get(name)
        if known is not None and os.access(known, os.X_OK):
            return known
        found = find_program(name, self.path)
        if found is not None:
            self._found[name] = found
        return found
