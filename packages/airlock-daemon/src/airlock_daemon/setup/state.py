"""The daemon's state directory, private to its user.

It is in no workspace, and nothing in it is for a person to edit. One file notes which directory
each workspace is: whoever can write above a path can put another directory there. So the device and
inode are noted at registration, and must match later. Another directory is used only after a person
has run `airlock agent trust`.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.profile import Identity
from airlock_daemon.setup.sockets import BridgeVolume
from airlock_daemon.setup.writing import make_directory, read_whole, write_whole
from airlock_modules import Fault

_LOCK = ".lock"
_VOLUMES = "bridges"
_VOLUME = re.compile(r"([a-z]+) (airlock-[0-9a-f]{32})\n", re.ASCII)
_INSTALLATION = "docker/installation"
_INSTALLATION_ID = re.compile(r"[0-9a-f]{8}")


class State(msgspec.Struct, frozen=True):
    """A state directory, by its absolute path. The first change creates it (0700)."""

    directory: str

    def path(self, name: str) -> str:
        """The path of its file `name`."""
        return os.path.join(self.directory, name)

    def homes(self, agent: str) -> str:
        """The directory of the homes that an agent's boxes keep, one for each module."""
        return self.path(f"homes/{agent}")

    def find(self, name: str) -> str | None:
        """The path of a file, None if it does not exist."""
        path = self.path(name)
        return path if os.path.lexists(path) else None

    def read(self, name: str) -> str | None:
        """A file's text, None if it is missing or the directory is another user's.

        Raises AirlockError.
        """
        return read_whole(self.path(name)) if os.access(self.directory, os.X_OK) else None

    def write(self, name: str, text: str | None) -> None:
        """Replace a file (0600) atomically, or remove it, in a block of `changing`.

        Creates its directory (0700). Raises AirlockError.
        """
        path = self.path(name)
        if text is not None:
            with ExitStack() as undo:
                make_directory(os.path.dirname(path), mode=0o700, undo=undo)
                undo.pop_all()
        write_whole(path, text)

    def find_volume(self, agent: str) -> BridgeVolume | None:
        """The volume of an agent's bridge, None if it has none. Raises AirlockError."""
        return self._read_volume(agent)

    def make_volume(self, agent: str, engine: str) -> BridgeVolume:
        """The volume of an agent's bridge; a new one is noted for `engine` if it has none.

        Raises AirlockError.
        """
        with self.changing():
            # The daemon and a command may both be the first.
            volume = self._read_volume(agent)
            if volume is None:
                name = f"airlock-{secrets.token_hex(16)}"
                volume = BridgeVolume(agent=agent, engine=engine, name=name)
                self.write(f"{_VOLUMES}/{agent}", f"{engine} {name}\n")
        return volume

    def leave_volume(self, volume: BridgeVolume) -> None:
        """Take a volume from its agent, and note that it is to be removed. Raises AirlockError."""
        with self.changing():
            present = self._read_volume(volume.agent)
            note = f"-{volume.name}"
            if present == volume and volume.agent != note:
                self.write(f"{_VOLUMES}/{note}", f"{volume.engine} {volume.name}\n")
                self.write(f"{_VOLUMES}/{volume.agent}", None)

    def forget_volume(self, volume: BridgeVolume) -> None:
        """Forget a volume, which is removed. Raises AirlockError."""
        with self.changing():
            for note in (volume.agent, f"-{volume.name}"):
                present = self._read_volume(note)
                if present is not None and present.name == volume.name:
                    self.write(f"{_VOLUMES}/{note}", None)

    def list_volumes(self) -> list[BridgeVolume]:
        """The volumes of all bridges, also of those that are to be removed. Raises AirlockError."""
        try:
            notes = os.listdir(self.path(_VOLUMES))
        except OSError:
            return []
        return [each for note in sorted(notes) if (each := self._read_volume(note)) is not None]

    def _read_volume(self, note: str) -> BridgeVolume | None:
        text = self.read(f"{_VOLUMES}/{note}")
        if text is None:
            return None
        found = _VOLUME.fullmatch(text)
        if found is None:
            path = self.path(f"{_VOLUMES}/{note}")
            raise AirlockError(
                f"{path} has no name of a volume",
                hint=f"remove it, and recreate the agent's containers: rm {path}",
            )
        return BridgeVolume(agent=note, engine=found[1], name=found[2])

    def find_random(self, name: str, *, size: int) -> str:
        """The text of a file, which at first is so many random bytes in hexadecimal digits.

        Raises AirlockError.
        """
        text = self.read(name)
        if text is None:
            with self.changing():
                # Another process may have made it meanwhile.
                text = self.read(name)
                if text is None:
                    text = f"{os.urandom(size).hex()}\n"
                    self.write(name, text)
        return text.removesuffix("\n")

    @property
    def has_installation(self) -> bool:
        """Whether `find_installation` was ever called."""
        return self.find(_INSTALLATION) is not None

    def find_installation(self) -> str:
        """The id of this installation at docker engines: 8 hexadecimal digits, random at first.

        Raises AirlockError.
        """
        text = self.find_random(_INSTALLATION, size=4)
        if _INSTALLATION_ID.fullmatch(text) is None:
            raise AirlockError(
                f"{self.path(_INSTALLATION)} is not as it was written",
                hint="write into it the eight digits behind the agent's name in a name that docker "
                "ps shows; or remove it, and what agents have made at the engine",
            )
        return text

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Lock the directory against other writers during the block. Raises AirlockError."""
        with ExitStack() as undo:
            make_directory(self.directory, mode=0o700, undo=undo)
            undo.pop_all()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            lock = os.open(self.path(_LOCK), flags, 0o600)
        except OSError as error:
            raise AirlockError(
                f"{self.directory} cannot be written: {error.strerror}",
                hint="mend that, or name another directory: [daemon] state in config.toml",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


FILE = "workspaces.json"
"""The name of the file in the state directory."""

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A directory, and the kernel's boot id with which its device number was valid."""

    device: int
    inode: int
    boot: str

    @property
    def identity(self) -> Identity:
        """The noted directory's identity."""
        return Identity(self.device, self.inode)


Notes = Mapping[str, Mapping[str, Noted]]
"""By the agent's directory, and by the written path of a workspace."""

NOTHING: Notes = MappingProxyType({})
"""No notes."""


def read_boot_id() -> str:
    """The id of this boot of the kernel, "" if it is not available."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def renew(noted: Noted | None, found: Identity, *, boot: str) -> Noted | None:
    """The new note for the directory `found`; None if another directory is noted.

    After a reboot the same file system may have another device number.
    """
    if noted is not None:
        is_rebooted = noted.boot != boot or not boot
        if found.inode != noted.inode or (found.device != noted.device and not is_rebooted):
            return None
    return note(found, boot=boot)


def note(found: Identity, *, boot: str) -> Noted:
    """The note for a directory found in this boot."""
    return Noted(device=found.device, inode=found.inode, boot=boot)


def describe(identity: Identity) -> str:
    """Describe a directory for people: inode and device as in `stat -c '%i %Hd:%Ld'`."""
    device = f"{os.major(identity.device)}:{os.minor(identity.device)}"
    return f"inode {identity.inode} on device {device}"


def read_notes(state: State, *, faults: list[Fault]) -> dict[str, dict[str, Noted]]:
    """All notes; a fault of the file is added to `faults`."""
    try:
        return _read(state)
    except AirlockError as error:
        path = state.path(FILE)
        problem = error.message.removeprefix(f"{path} ")
        faults.append(Fault(path, "", problem, error.hint))
        return {}


def keep_notes(state: State, notes: Notes) -> Fault | None:
    """Write notes that are not written yet. Returns a warning if that fails."""
    try:
        written = _read(state)
        if _merge(written, notes) == written:
            return None
        with state.changing():
            _write(state, _merge(_read(state), notes))
    except AirlockError as error:
        problem = (
            f"{error.message}: which directories the workspaces are is known until this daemon ends"
        )
        return Fault(state.directory, "", problem, error.hint)
    return None


def replace_notes(state: State, directory: str, notes: Mapping[str, Noted]) -> None:
    """Replace all notes of the agent of `directory`. Raises AirlockError."""
    if not notes and directory not in _read(state):
        return
    with state.changing():
        written = _read(state)
        written.pop(directory, None)
        _write(state, {**written, **({directory: notes} if notes else {})})


def _merge(written: Notes, notes: Notes) -> dict[str, dict[str, Noted]]:
    """The written notes with those of `notes` that match the same directory."""
    merged = {agent: dict(paths) for agent, paths in written.items()}
    for agent, paths in notes.items():
        for path, noted in paths.items():
            before = merged.get(agent, {}).get(path)
            if renew(before, noted.identity, boot=noted.boot) is not None:
                merged.setdefault(agent, {})[path] = noted
    return merged


def _read(state: State) -> dict[str, dict[str, Noted]]:
    text = state.read(FILE)
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, dict[str, Noted]])
    except msgspec.MsgspecError as error:
        raise AirlockError(
            f"cannot be understood: {error}",
            hint="move it away: all workspaces are then noted again as they are",
        ) from error


def _write(state: State, notes: Notes) -> None:
    state.write(FILE, msgspec.json.format(msgspec.json.encode(notes)).decode() + "\n")
