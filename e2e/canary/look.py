"""Whether an attack got anywhere: what its client saw, and what it has left on host and server."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from e2e.canary.scene import Scene
from e2e.canary.sign import SIGNATURE
from e2e.world.errors import BrokenError
from e2e.world.keys import KeyPair
from e2e.world.secrets import Password, PrivateKey, Secret

_FAULT = "a fault of the daemon"
# A traceback whose last frame is in the program that switches a guard off.
_UNFIT = re.compile(r'^  File "[^"]*/unguarded\.py".*\n(?:    .*\n)*(?=\S)(.*)', re.MULTILINE)
# What would reach a terminal as more than a character: controls, and what turns lines around.
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def has_fault(said: str) -> bool:
    """Whether the daemon called something a fault of its own in what it `said`.

    Raises BrokenError where the fault is of `unguarded.py`, which no longer fits the daemon: an
    attack that ends so shows nothing.
    """
    unfit = _UNFIT.search(said)
    if unfit is not None:
        raise BrokenError(f"unguarded.py does not fit the daemon: {unfit[1]}")
    return _FAULT in said


class Look:
    """Compares what is there with what was, each time that it is asked."""

    def __init__(self, scene: Scene) -> None:
        world = scene.world
        self._world = world
        keys = [_read_key(world.server / f"{name}-key") for name in ("client", "stranger")]
        self._secrets: list[Secret] = [PrivateKey(key=keys[0], unlike=keys[1])]
        self._secrets += [Password(word) for word in world.words]
        self._before = self._read_state()
        self._heard = 0

    def find_leaks(self, seen: bytes) -> Iterator[str]:
        """Say what an attack, whose client has seen `seen`, has got. What it did is undone."""
        for secret in self._secrets:
            if secret.find(seen):
                yield f"the client sees {type(secret).__name__}"
        if SIGNATURE in seen:
            yield "the client has a signature"
        for line in seen.split(b"\n"):
            if line.startswith(b'{"jsonrpc"') and (error := json.loads(line).get("error")):
                said = f"{error['message']}{error.get('data', {}).get('hint')}"
                if has_raw(said):
                    yield f"a message has raw characters: {said!a:.200}"
        proofs = sorted(os.listdir(self._world.proof))
        if proofs:
            yield f"something ran: {proofs}"
        now = self._read_state()
        changed = {path for path, _ in now.items() ^ self._before.items()}
        if changed:
            yield f"changed: {sorted(changed)}"
        if has_fault(self._read_words()):
            yield "the daemon called it a fault of its own"
        if proofs or changed:
            self._world.restore()
            self._before = self._read_state()

    def _read_words(self) -> str:
        """What the daemon has written since the last time."""
        said = self._world.said.read_bytes()
        new, self._heard = said[self._heard :], len(said)
        return new.decode(errors="replace")

    def _read_state(self) -> dict[str, object]:
        """Refs of the repository that is granted, and every file that nobody may change."""
        world = self._world
        state: dict[str, object] = {}
        for ref in _list_files(world.open / "app.git", below=("refs", "packed-refs", "HEAD")):
            # Which every agent may make that may push.
            if ref.name != "free":
                state[str(ref)] = ref.read_bytes()
        # The forge notes who asked for what.
        logs = world.forge / ".gitolite/logs"
        homes = (world.human, world.home, world.account, world.forge, Path.home() / ".ssh")
        for folder in (*homes, world.folder / "secret.git", world.open / "below"):
            for file in _list_files(folder):
                if folder == world.forge and (file.name == "free" or file.parent == logs):
                    continue
                status = file.lstat()
                state[str(file)] = (status.st_size, status.st_mtime_ns)
        return state


def has_raw(text: str) -> bool:
    """Whether a text has what a terminal would obey, or what turns lines around."""
    return _RAW.search(text) is not None


def _list_files(folder: Path, *, below: tuple[str, ...] = ("",)) -> Iterator[Path]:
    for name in below:
        top = folder / name
        if top.is_file():
            yield top
        for above, _, names in os.walk(top):
            yield from (Path(above, each) for each in names)


def _read_key(path: Path) -> KeyPair:
    public = Path(f"{path}.pub").read_text().split()
    return KeyPair(path=path, private=path.read_bytes(), public=" ".join(public[:2]))
