"""The sockets directory: each agent's sockets, served by one daemon at a time.

`<agent>/airlock.sock` is for mounting the directory, which survives a restart of the daemon;
`<agent>.sock` is a hard link to it, for mounting the file. Links to an agent's other sockets are
where no container can replace them, for its docker containers. Everything is relative to open
directories, so that nobody who can write one of them can redirect the daemon by a symlink.
"""

import fcntl
import os
import socket
import stat
import time
from contextlib import suppress

from airlock_daemon.errors import AirlockError, full_table, is_full_table
from airlock_daemon.serving.daemon.socket_file import File, bind, clear, identify, open_to_others
from airlock_daemon.serving.daemon.store import SocketStore
from airlock_daemon.setup.generation import (
    CLIENT_ENV,
    HTTPS,
    PUBLISHED,
    SOCKET,
    Locations,
    container_directory,
    find_link,
)
from airlock_daemon.setup.status import DaemonStatus

# `doctor` probes for a daemon by taking its lock, for less than this many seconds.
_MOMENT_S = 0.2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SocketsDirectory:
    """A locked sockets directory. Its owner must `close` it, which removes the sockets."""

    def __init__(
        self, path: str, *, mode: int | None, gid: int | None, store: SocketStore | None = None
    ) -> None:
        """Create `path` (0700) if it is missing, open and lock it.

        `mode` and `gid` are the configuration's, or None. `store` has an earlier daemon's sockets,
        and stores this one's. Raises AirlockError if another daemon serves the directory, or it
        cannot be used.
        """
        self.path = path
        self._gid = gid
        self._store = store
        self._status: int | None = None
        # By path in the sockets directory, such as `my/airlock.sock`.
        self._listening: dict[str, tuple[socket.socket, File]] = {}
        try:
            with suppress(FileExistsError):
                os.makedirs(path, mode=0o700)
            self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unusable(path, error, sockets=path) from error
        try:
            self._lock = self._acquire_lock()
            self._mode = mode if mode is not None else self._default_mode()
        except BaseException:
            os.close(self._directory)
            raise

    def listen(self, agent: str, name: str = SOCKET) -> socket.socket:
        """Listen on a socket of `agent`: a stored one, or a new one.

        Replaces a dead socket. Raises AirlockError if something else is in the way, with the
        command that removes it.
        """
        path = f"{agent}/{name}"
        directory = self._open_agent(agent)
        try:
            is_taken = self._adopt(path, directory)
            link = find_link(agent, name)
            is_linked = is_taken and self._is_own(link, path)
            if not is_taken:
                clear(directory, name, os.path.join(self.path, path))
            if not is_linked:
                self._make_parents(link)
                clear(self._directory, link, os.path.join(self.path, link))
            if not is_taken:
                self._listening[path] = bind(directory, name, mode=self._mode, gid=self._gid)
            if not is_linked:
                self._link(path, directory, link)
            if self._store is not None and not self._store.keeps(path):
                self._store.keep(path, *self._listening[path])
        except OSError as error:
            if path in self._listening:
                self.dismiss(agent, name).close()
            raise _unusable(os.path.join(self.path, agent), error, sockets=self.path) from error
        finally:
            os.close(directory)
        return self._listening[path][0]

    def remove_unclaimed(self) -> None:
        """Remove stored sockets whose agents are not served any more."""
        if self._store is not None:
            for path, kept in self._store.list_unclaimed():
                self._remove(path, kept.listening, kept.file)
                self._store.forget(path)

    def set_access(self, *, mode: int | None, gid: int | None) -> None:
        """Use another `mode` and `gid`, also for existing sockets; raises AirlockError.

        Leaves a socket that was replaced by another file as it is.
        """
        self._mode = mode if mode is not None else self._default_mode()
        self._gid = gid
        for path, (_, own) in self._listening.items():
            try:
                open_to_others(self._directory, path, own, mode=self._mode, gid=gid)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _unusable(os.path.join(self.path, path), error, sockets=self.path) from error

    def post(self, status: DaemonStatus) -> None:
        """Publish to the other commands what is served here, until the directory is closed.

        Replaces the previous status. Raises AirlockError if it cannot be written.
        """
        before = self._status
        try:
            self._status = status.publish(self._directory)
        except OSError as error:
            raise _unusable(
                os.path.join(self.path, DaemonStatus.FILE), error, sockets=self.path
            ) from error
        if before is not None:
            os.close(before)

    def withdraw(self) -> None:
        """Remove the sockets' files; pending connections can still be accepted.

        A socket stored for the next daemon still takes connections, which wait for it.
        """
        for path, (listening, own) in self._listening.items():
            if self._store is None or not self._store.keeps(path):
                self._remove(path, listening, own)

    def dismiss(self, agent: str, name: str = SOCKET) -> socket.socket:
        """Remove one socket's file; the caller closes the returned socket."""
        path = f"{agent}/{name}"
        if self._store is not None:
            self._store.forget(path)
        listening, own = self._listening.pop(path)
        self._remove(path, listening, own)
        return listening

    def withhold(self, agent: str) -> None:
        """Remove the API files of an agent that has no APIs any more; ignores errors."""
        with suppress(AirlockError):
            directory = self._open_agent(agent)
            try:
                for name in (*PUBLISHED, CLIENT_ENV):
                    with suppress(OSError):
                        os.unlink(name, dir_fd=directory)
                    with suppress(OSError):
                        link = f"{container_directory(agent)}/{name}"
                        os.unlink(link, dir_fd=self._directory)
                with suppress(OSError):
                    clear(directory, HTTPS, os.path.join(self.path, agent, HTTPS))
            finally:
                os.close(directory)

    def _adopt(self, path: str, directory: int) -> bool:
        """Listen on the stored socket for `path`, if its file is still at that path."""
        if self._store is None:
            return False
        name = os.path.basename(path)
        try:
            own = identify(directory, name)
        except FileNotFoundError:
            return False
        listening = self._store.take(path, own)
        if listening is None:
            return False
        self._listening[path] = listening, own
        open_to_others(directory, name, own, mode=self._mode, gid=self._gid)
        return True

    def _make_parents(self, link: str) -> None:
        parents = link.split("/")[:-1]
        for end in range(1, len(parents) + 1):
            with suppress(FileExistsError):
                os.mkdir("/".join(parents[:end]), 0o755, dir_fd=self._directory)

    def _link(self, path: str, directory: int, link: str) -> None:
        """Link the socket `path`, which lies in the agent's open `directory`.

        Raises AirlockError if something was put in its place meanwhile. That is never at `link`: an
        engine that mounts it would follow a symlink on the host.
        """
        name, new = os.path.basename(path), f"{link}.new"
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=self._directory)
        os.link(name, new, src_dir_fd=directory, dst_dir_fd=self._directory, follow_symlinks=False)
        if not self._is_own(new, path):
            os.unlink(new, dir_fd=self._directory)
            raise AirlockError(
                f"{os.path.join(self.path, path)} was replaced while it was made",
                hint="mount the agent's socket directory read-only, and reload: airlock reload",
            )
        os.rename(new, link, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _is_own(self, name: str, path: str) -> bool:
        """Whether the file `name` is the listening socket of `path`."""
        try:
            return identify(self._directory, name) == self._listening[path][1]
        except FileNotFoundError:
            return False

    def _remove(self, path: str, listening: socket.socket, own: File) -> None:
        """Remove the socket at `path`, and its hard link.

        Other files at these paths stay, and so do the directories, since they are mounted.
        """
        for name in (find_link(*path.split("/")), path):
            # While the socket is open, no other file can have its identity.
            with suppress(OSError):
                if identify(self._directory, name) == own:
                    os.unlink(name, dir_fd=self._directory)
        # A container that has the file mounted gets ECONNREFUSED from here on.
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Stop listening, and unlock the directory for the next daemon."""
        self.withdraw()
        for listening, _ in self._listening.values():
            listening.close()
        self._listening.clear()
        if self._status is not None:
            with suppress(OSError):
                os.unlink(DaemonStatus.FILE, dir_fd=self._directory)
            os.close(self._status)
        os.close(self._lock)
        os.close(self._directory)

    def _acquire_lock(self) -> int:
        try:
            lock = os.open(
                Locations.LOCK,
                os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
                dir_fd=self._directory,
            )
        except OSError as error:
            raise _unusable(
                os.path.join(self.path, Locations.LOCK), error, sockets=self.path
            ) from error
        try:
            is_ours = _lock(lock)
        except OSError as error:
            os.close(lock)
            raise _unusable(
                os.path.join(self.path, Locations.LOCK), error, sockets=self.path
            ) from error
        if not is_ours:
            os.close(lock)
            raise AirlockError(
                f"another daemon serves {self.path}",
                hint="stop that daemon, or choose another directory with --sockets",
            )
        return lock

    def _default_mode(self) -> int:
        """0666 if only the owner can enter the directory, so any container user may connect."""
        info = os.fstat(self._directory)
        private = info.st_uid == os.geteuid() and not stat.S_IMODE(info.st_mode) & 0o077
        return 0o666 if private else 0o600

    def _open_agent(self, agent: str) -> int:
        try:
            with suppress(FileExistsError):
                os.mkdir(agent, 0o755, dir_fd=self._directory)
            directory = os.open(agent, _DIRECTORY, dir_fd=self._directory)
            os.fchmod(directory, 0o755)
        except OSError as error:
            raise _unusable(os.path.join(self.path, agent), error, sockets=self.path) from error
        return directory


def _unusable(path: str, error: OSError, *, sockets: str) -> AirlockError:
    """The error for `path` in the directory `sockets`; worded by `check` if it finds a cause."""
    if is_full_table(error):
        return full_table()
    # Another descriptor may be missing by now, which importing needs too.
    with suppress(OSError, ImportError):
        from airlock_daemon.setup.checking import find_unusable  # noqa: PLC0415

        for fault in find_unusable(sockets):
            return AirlockError(f"{fault.source} {fault.problem}", hint=fault.remedy)
    return AirlockError(
        f"{path} cannot be used for sockets: {error.strerror}",
        hint="mend its permissions, or choose another directory with --sockets",
    )


def _lock(lock: int) -> bool:
    """Lock an open file while it is open; returns whether nobody else has the lock."""
    until = time.monotonic() + _MOMENT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_MOMENT_S / 20)
        else:
            return True
