"""The daemon's state directory, private to its user.

It is in no workspace, and nothing in it is for a person to edit. One file notes which directory
each workspace is: whoever can write above a path can put another directory there. So the device and
inode are noted at registration, and must match later. Another directory is used only after a person
has run `airlock agent trust`.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.files import make_directory, read_exact, write_text
from airlock_daemon.setup.profile import Identity
from airlock_modules import Fault

if TYPE_CHECKING:
    from airlock_daemon.setup.bridge import BridgeVolumes
    from airlock_daemon.setup.stored import Secrets

BRIDGES = "bridges"
"""The directory of the notes on the volumes of bridges (`bridge.BridgeVolumes`)."""

_LOCK = ".lock"

FILE = "workspaces.json"
"""The name of the file in the state directory."""

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A directory, and the kernel's boot id with which its device number was valid."""

    device: int
    inode: int
    boot: str

    @classmethod
    def of(cls, found: Identity, *, boot: str) -> Self:
        """The note for a directory found in this boot."""
        return cls(device=found.device, inode=found.inode, boot=boot)

    @property
    def identity(self) -> Identity:
        """The noted directory's identity."""
        return Identity(self.device, self.inode)


Notes = Mapping[str, Mapping[str, Noted]]
"""By the agent's directory, and by the written path of a workspace."""

NOTHING: Notes = MappingProxyType({})
"""No notes."""


def renew(noted: Noted | None, found: Identity, *, boot: str) -> Noted | None:
    """The new note for the directory `found`; None if another directory is noted.

    After a reboot the same file system may have another device number.
    """
    if noted is not None:
        is_rebooted = noted.boot != boot or not boot
        if found.inode != noted.inode or (found.device != noted.device and not is_rebooted):
            return None
    return Noted.of(found, boot=boot)


def _merge(written: Notes, notes: Notes) -> dict[str, dict[str, Noted]]:
    """The written notes with those of `notes` that match the same directory."""
    merged = {agent: dict(paths) for agent, paths in written.items()}
    for agent, paths in notes.items():
        for path, noted in paths.items():
            before = merged.get(agent, {}).get(path)
            if renew(before, noted.identity, boot=noted.boot) is not None:
                merged.setdefault(agent, {})[path] = noted
    return merged


class State(msgspec.Struct, frozen=True):
    """A state directory, by its absolute path. The first change creates it (0700)."""

    directory: str

    def path(self, name: str) -> str:
        """The path of its file `name`."""
        return os.path.join(self.directory, name)

    def homes(self, agent: str) -> str:
        """The directory of the homes that an agent's boxes keep, one for each module."""
        return self.path(f"homes/{agent}")

    def name_images(self, agent: str) -> str:
        """The name of the file that has an agent's images of a docker engine."""
        return f"docker/{agent}.images"

    def find(self, name: str) -> str | None:
        """The path of a file, None if it does not exist."""
        path = self.path(name)
        return path if os.path.lexists(path) else None

    def read(self, name: str) -> str | None:
        """A file's text, None if it is missing or the directory is another user's.

        Raises AirlockError.
        """
        return read_exact(self.path(name)) if os.access(self.directory, os.X_OK) else None

    def write(self, name: str, text: str | None) -> None:
        """Replace a file (0600) atomically, or remove it, in a block of `changing`.

        Creates its directory (0700). Raises AirlockError.
        """
        path = self.path(name)
        if text is not None:
            with ExitStack() as undo:
                make_directory(os.path.dirname(path), mode=0o700, undo=undo)
                undo.pop_all()
        write_text(path, text)

    @property
    def has_bridges(self) -> bool:
        """Whether any agent ever had a bridge."""
        return self.find(BRIDGES) is not None

    @property
    def secrets(self) -> "Secrets":
        """What it has of stored credentials, keys and random ids."""
        from airlock_daemon.setup.stored import Secrets  # noqa: PLC0415

        return Secrets(self)

    @property
    def bridges(self) -> "BridgeVolumes":
        """The volumes of bridges that are noted in it."""
        from airlock_daemon.setup.bridge import BridgeVolumes  # noqa: PLC0415

        return BridgeVolumes(self)

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

    def read_notes(self, *, faults: list[Fault]) -> dict[str, dict[str, Noted]]:
        """All notes on workspaces; a fault of the file is added to `faults`."""
        try:
            return self._read_notes()
        except AirlockError as error:
            path = self.path(FILE)
            problem = error.message.removeprefix(f"{path} ")
            faults.append(Fault(path, "", problem, error.hint))
            return {}

    def write_notes(self, notes: Notes) -> Fault | None:
        """Write notes that are not written yet. Returns a warning if that fails."""
        try:
            written = self._read_notes()
            if _merge(written, notes) == written:
                return None
            with self.changing():
                self._write_notes(_merge(self._read_notes(), notes))
        except AirlockError as error:
            problem = (
                f"{error.message}: which directories the workspaces are is known until this "
                "daemon ends"
            )
            return Fault(self.directory, "", problem, error.hint)
        return None

    def replace_notes(self, directory: str, notes: Mapping[str, Noted]) -> None:
        """Replace all notes of the agent of `directory`. Raises AirlockError."""
        if not notes and directory not in self._read_notes():
            return
        with self.changing():
            written = self._read_notes()
            written.pop(directory, None)
            self._write_notes({**written, **({directory: notes} if notes else {})})

    def _read_notes(self) -> dict[str, dict[str, Noted]]:
        text = self.read(FILE)
        if text is None:
            return {}
        try:
            return msgspec.json.decode(text, type=dict[str, dict[str, Noted]])
        except msgspec.MsgspecError as error:
            raise AirlockError(
                f"cannot be understood: {error}",
                hint="move it away: all workspaces are then noted again as they are",
            ) from error

    def _write_notes(self, notes: Notes) -> None:
        self.write(FILE, msgspec.json.format(msgspec.json.encode(notes)).decode() + "\n")

    @staticmethod
    def read_boot_id() -> str:
        """The id of this boot of the kernel, "" if it is not available."""
        try:
            with open(_BOOT_ID, encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return ""
