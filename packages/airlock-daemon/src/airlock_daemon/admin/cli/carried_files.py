"""Files of this host in a volume, for containers of an engine that may not see this host's files.

With `[bridge]` an agent's containers run in a virtual machine, which may share the workspaces alone
(Lima shares the home read-only). So `run` and the printed lines copy what they would mount beside
the workspaces into a second volume of the agent, by the engine's command:

    home/      the agent's home, which its containers write
    etc/       accounts, the file for login shells, files of API clients, named by what is in them
"""

import io
import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from airlock_daemon.admin.cli.image import (
    ImageFiles,
    list_images,
    make_volume,
    open_container,
)
from airlock_daemon.admin.cli.machine import User
from airlock_daemon.admin.cli.wiring import HOME, SHIM, Mount, Wiring
from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.setup.bridge import BridgeVolume
from airlock_daemon.setup.generation import SOCKET_DIRECTORY
from airlock_daemon.setup.human_git import HumanGit

_IMAGE = "airlock-bridge"
_LABEL = "airlock.bridge"
_FOLDER = "/carried"
_WAIT_S = 20.0
_STEP_S = 0.2


def carry_files(
    wiring: Wiring,
    volume: BridgeVolume | None,
    *,
    user: User,
    search_path: str,
    program: str,
) -> Wiring:
    """Copy the files of this host that `wiring` mounts beside the workspaces, and mount the copies.

    Without a `volume` the container is to mount them themselves. In a new home, the git of
    `search_path` provides the user's name and email. `program` is the engine's command.
    Waits for the agent's bridge, which must run. Raises AirlockError.
    """
    if volume is None:
        return wiring
    image = _await_image(program, volume)
    make_volume(program, volume.home, label=f"{_LABEL}={volume.agent}")
    options = (
        f"--label={BridgeVolume.COPIES_LABEL}={volume.name}",
        f"--mount=type=volume,source={volume.home},target={_FOLDER}",
        f"--mount=type=volume,source={volume.name},target={SOCKET_DIRECTORY},readonly",
    )
    has_home = any(mount.target == HOME for mount in wiring.mounts)
    with open_container(program, image, *options) as files:
        _await_shim(files, volume)
        packed = _Packed(user)
        if has_home:
            packed.add_directory("home", mode=0o700)
            settings = HumanGit.read_identity(search_path, os.environ)
            if settings and not files.has(f"{_FOLDER}/home/.gitconfig"):
                packed.add_own("home/.gitconfig", settings.encode())
        machine, access = (
            msgspec.structs.replace(
                each, mounts=tuple(_carry(each.mounts, volume, packed, has_home=has_home))
            )
            for each in (wiring.machine, wiring.access)
        )
        files.write(_FOLDER, packed.finish())
    return msgspec.structs.replace(wiring, engine=volume.engine, machine=machine, access=access)


def _carry(
    mounts: Iterable[Mount], volume: BridgeVolume, packed: "_Packed", *, has_home: bool
) -> Iterator[Mount]:
    """Pack what is mounted from this host, and yield the mounts of the copies."""
    for mount in mounts:
        if mount.volume:
            yield mount
        elif mount.target == HOME:
            yield msgspec.structs.replace(mount, source="home", volume=volume.home)
        else:
            with open(mount.source, "rb") as file:
                data = file.read()
            if has_home and mount.target.startswith(f"{HOME}/"):
                # A mount there would have the engine make its directories, as root's.
                packed.add_own(f"home/{mount.target.removeprefix(f'{HOME}/')}", data)
            else:
                name = packed.add_shared(data)
                yield msgspec.structs.replace(mount, source=name, volume=volume.home)


class _Packed:
    """An archive to unpack in the volume, in which the home is `user`'s."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._written = io.BytesIO()
        self._archive = tarfile.open(fileobj=self._written, mode="w")  # noqa: SIM115 - see finish
        self._directories = {"", "."}

    def add_directory(self, name: str, *, mode: int = 0o755) -> None:
        """Add a directory of the user's, and its parents."""
        if name not in self._directories:
            self.add_directory(os.path.dirname(name))
            self._directories.add(name)
            self._add(name, mode=mode, is_own=True)

    def add_own(self, name: str, data: bytes) -> None:
        """Add a file of the user's."""
        self.add_directory(os.path.dirname(name))
        self._add(name, data, is_own=True)

    def add_shared(self, data: bytes) -> str:
        """Add a file that the user only reads; returns its name."""
        if "etc" not in self._directories:
            self._directories.add("etc")
            self._add("etc", mode=0o755)
        name = f"etc/{sha256(data).hexdigest()[:32]}"
        self._add(name, data)
        return name

    def finish(self) -> bytes:
        """The whole archive."""
        self._archive.close()
        return self._written.getvalue()

    def _add(
        self, name: str, data: bytes | None = None, *, mode: int = 0o644, is_own: bool = False
    ) -> None:
        entry = tarfile.TarInfo(name)
        entry.mode = mode
        if is_own:
            entry.uid, entry.gid = self._user.uid, self._user.gid
        if data is None:
            entry.type = tarfile.DIRTYPE
            self._archive.addfile(entry)
        else:
            entry.size = len(data)
            self._archive.addfile(entry, io.BytesIO(data))


def _await_image(program: str, volume: BridgeVolume) -> str:
    """Wait for the image of bridges, which the daemon makes."""
    for _ in _steps():
        if images := list_images(program, _IMAGE):
            return images[0]
    raise _no_bridge(volume)


def _await_shim(files: ImageFiles, volume: BridgeVolume) -> None:
    """Wait until the bridge has put the shim into its volume."""
    for _ in _steps():
        if files.has(f"{SOCKET_DIRECTORY}/{SHIM}"):
            return
    raise _no_bridge(volume)


def _steps() -> Iterator[None]:
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        yield
        time.sleep(_STEP_S)


def _no_bridge(volume: BridgeVolume) -> AirlockError:
    return AirlockError(
        f"no bridge of agent {volume.agent} runs at {volume.engine}",
        hint=f"start the daemon, or have it read the profile: airlock reload; {LOOK_AT_MESSAGES}",
    )
