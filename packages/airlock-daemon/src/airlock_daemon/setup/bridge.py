"""The volumes of bridges, which are noted in the state directory."""

import os
import re
import secrets
from typing import ClassVar

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.state import BRIDGES, State

_VOLUME = re.compile(r"([a-z]+) (airlock-[0-9a-f]{32})\n", re.ASCII)


class BridgeVolume(msgspec.Struct, frozen=True, kw_only=True):
    """The volume of an agent's bridge, at the engine with the command `engine`.

    The agent's sockets are in it. Its name is random, since whoever mounts it is the agent. `agent`
    begins with a hyphen once no agent has it.
    """

    COPIES_LABEL: ClassVar[str] = "airlock.bridge.copies"
    """The label of the containers by which commands copy files into such volumes."""

    agent: str
    engine: str
    name: str

    @property
    def home(self) -> str:
        """The name of the volume with the home of the agent's containers."""
        return f"{self.name}-home"


class BridgeVolumes(msgspec.Struct, frozen=True):
    """The volumes that are noted in a state directory. All methods raise AirlockError."""

    state: State

    def find(self, note: str) -> BridgeVolume | None:
        """The volume of an agent's bridge, None if it has none."""
        text = self.state.read(f"{BRIDGES}/{note}")
        if text is None:
            return None
        found = _VOLUME.fullmatch(text)
        if found is None:
            path = self.state.path(f"{BRIDGES}/{note}")
            raise AirlockError(
                f"{path} has no name of a volume",
                hint=f"remove it, and recreate the agent's containers: rm {path}",
            )
        return BridgeVolume(agent=note, engine=found[1], name=found[2])

    def make(self, agent: str, engine: str) -> BridgeVolume:
        """The volume of an agent's bridge; a new one is noted for `engine` if it has none."""
        with self.state.changing():
            # The daemon and a command may both be the first.
            volume = self.find(agent)
            if volume is None:
                name = f"airlock-{secrets.token_hex(16)}"
                volume = BridgeVolume(agent=agent, engine=engine, name=name)
                self._write(agent, volume)
        return volume

    def release(self, volume: BridgeVolume) -> None:
        """Take a volume from its agent, and note that it is to be removed."""
        with self.state.changing():
            present = self.find(volume.agent)
            note = f"-{volume.name}"
            if present == volume and volume.agent != note:
                self._write(note, volume)
                self._write(volume.agent, None)

    def forget(self, volume: BridgeVolume) -> None:
        """Forget a volume, which is removed."""
        with self.state.changing():
            for note in (volume.agent, f"-{volume.name}"):
                present = self.find(note)
                if present is not None and present.name == volume.name:
                    self._write(note, None)

    def list_all(self) -> list[BridgeVolume]:
        """The volumes of all bridges, also of those that are to be removed."""
        try:
            notes = os.listdir(self.state.path(BRIDGES))
        except OSError:
            return []
        # A writer that was killed has left its own file, which begins with a dot.
        named = (note for note in sorted(notes) if not note.startswith("."))
        return [each for note in named if (each := self.find(note)) is not None]

    def _write(self, note: str, volume: BridgeVolume | None) -> None:
        text = None if volume is None else f"{volume.engine} {volume.name}\n"
        self.state.write(f"{BRIDGES}/{note}", text)
