"""Whether an attack out of a box got anywhere: what its client saw, and what became of the host."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import Secrets
from e2e.canary.boxes.attack import GOT
from e2e.canary.boxes.scene import BoxScene
from e2e.canary.look import has_fault
from e2e.world.secrets import Password, read_tree


class BoxLook:
    """Compares what is there with what was, each time that it is asked."""

    def __init__(self, scene: BoxScene) -> None:
        self._scene = scene
        self._world = scene.world
        self._secrets = {name: Password(word) for name, word in self._world.words.items()}
        # The directory of the homes that boxes keep is made for the first of them.
        scene.run("keeper", "-c", "")
        # So is the id of this installation, for the first use of docker.
        Secrets(State(f"{self._world.config}/state")).find_installation()
        self._before = self._read_state()
        self._heard = 0

    def find_leaks(self, seen: bytes) -> Iterator[str]:
        """Say what an attack, whose client has seen `seen`, has got. What it did is undone."""
        workspace = read_tree(self._world.workspace)
        for name, secret in self._secrets.items():
            if secret.find(seen):
                yield f"the client sees the word of: {name}"
            if secret.find(workspace):
                yield f"the workspace has the word of: {name}"
        for line in seen.split(b"\n"):
            if line.startswith(GOT):
                yield line.decode(errors="replace").strip()
        yield from self._scene.host.find_changes()
        now = self._read_state()
        changed = {path for path, _ in now.items() ^ self._before.items()}
        self._before = now
        if changed:
            yield f"changed: {sorted(changed)}"
        if has_fault(self._read_words()):
            yield "the daemon called it a fault of its own"
        self._clean()

    def _clean(self) -> None:
        """The workspace is as it was: a file, and nothing else."""
        for path in self._world.workspace.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "file" or path.is_symlink():
                path.unlink()

    def _read_words(self) -> str:
        said = self._world.said.read_bytes()
        new, self._heard = said[self._heard :], len(said)
        return new.decode(errors="replace")

    def _read_state(self) -> dict[str, object]:
        """Every file of the host that is none of the workspace, and none that the daemon writes."""
        world = self._world
        apart = {world.workspace, world.log.parent, world.temporary, world.kept}
        apart.add(Path(world.config, "state/homes"))
        state: dict[str, object] = {}
        for above, folders, names in os.walk(world.folder):
            folders[:] = [name for name in folders if Path(above, name) not in apart]
            for path in (Path(above), *(Path(above, name) for name in names)):
                status = path.lstat()
                if path not in (world.said, world.folder):
                    state[str(path)] = (
                        *(status.st_mode, status.st_uid, status.st_size, status.st_nlink),
                        status.st_ctime_ns,
                    )
        return state
