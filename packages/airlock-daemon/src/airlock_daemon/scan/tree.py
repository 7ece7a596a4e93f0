"""A workspace's files, looked at without obeying, following or waiting for anything in it.

Whoever wrote them may be hostile. Directories are opened from the workspace's own descriptor on,
and a link in any component is refused; only what is a plain file is opened for reading, and that
through the descriptor by which it was found to be one: a FIFO could be waited for, and opening a
device can do something.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterator

import msgspec

MOST_ENTRIES = 1_000_000
MOST_READ = 256 * 1024
"""Bytes of a file that is looked at line by line; a larger one is known by its digest alone."""
MOST_HASHED = 64 * 1024 * 1024
_DEEPEST = 64
_PATH = getattr(os, "O_PATH", 0)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Entry(msgspec.Struct, frozen=True):
    """A name in a directory: a directory, a plain file, a link, or something else."""

    name: str
    is_directory: bool
    is_link: bool


class File(msgspec.Struct, frozen=True):
    """A plain file: its mode, the digest of what is in it, and that itself where it is short."""

    mode: int
    digest: str
    content: bytes | None

    @property
    def is_executable(self) -> bool:
        """Whether anybody may execute it."""
        return bool(self.mode & 0o111)


class LimitError(Exception):
    """There is more than is looked at; the text says of what."""


class Tree:
    """The directory `root` and all below it; `seconds` are how long it may be looked at.

    All other paths are relative to it, "" for itself. Its owner must `close` it.
    """

    def __init__(self, root: str, *, seconds: float) -> None:
        """Raises OSError where it cannot be opened."""
        self._root = os.open(root, _DIRECTORY)
        self._ends = time.monotonic() + seconds
        self._entries = 0
        self._hashed = 0

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._root)

    def list(self, path: str) -> list[Entry]:
        """What is in a directory, sorted by name; nothing where that cannot be read.

        Raises LimitError.
        """
        try:
            directory = self._open(path)
        except OSError:
            return []
        try:
            with os.scandir(directory) as found:
                return sorted(self._read(found), key=lambda each: each.name)
        except OSError:
            return []
        finally:
            os.close(directory)

    def read(self, path: str) -> File | None:
        """The plain file at `path`, None where none can be read. Raises LimitError."""
        above, name = os.path.split(path)
        try:
            directory = self._open(above)
        except OSError:
            return None
        try:
            return self._read_file(directory, name)
        except OSError:
            return None
        finally:
            os.close(directory)

    def read_link(self, path: str) -> str | None:
        """Where the link at `path` leads, None where there is none."""
        above, name = os.path.split(path)
        try:
            directory = self._open(above)
        except OSError:
            return None
        try:
            return os.readlink(name, dir_fd=directory)
        except OSError:
            return None
        finally:
            os.close(directory)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path`, and no link on the way."""
        try:
            os.close(self._open(path))
        except OSError:
            return False
        return True

    def _open(self, path: str) -> int:
        """Open a directory, a component after the other."""
        parts = [part for part in path.split("/") if part]
        if len(parts) > _DEEPEST or ".." in parts:
            raise OSError(f"{path} is not looked at")
        directory = os.dup(self._root)
        for part in parts:
            try:
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
            finally:
                os.close(directory)
            directory = inner
        return directory

    def _read(self, found: Iterator[os.DirEntry[str]]) -> Iterator[Entry]:
        for each in found:
            self._entries += 1
            if self._entries > MOST_ENTRIES:
                raise LimitError(f"more than {MOST_ENTRIES} files and directories")
            if not self._entries % 256 and time.monotonic() > self._ends:
                raise LimitError("the time for it is over")
            yield Entry(each.name, each.is_dir(follow_symlinks=False), each.is_symlink())

    def _read_file(self, directory: int, name: str) -> File | None:
        found = os.open(
            name, (_PATH or os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory
        )
        try:
            status = os.fstat(found)
            if not stat.S_ISREG(status.st_mode):
                return None
            if not _PATH:
                return self._hash(os.dup(found), status)
            # The very file that was found to be plain, whatever its name leads to by now.
            again = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            return self._hash(again, status)
        finally:
            os.close(found)

    def _hash(self, descriptor: int, status: os.stat_result) -> File:
        """What is in an open file, which is closed."""
        digest = hashlib.sha256()
        content = b""
        with open(descriptor, "rb") as file:
            size = 0
            while piece := file.read(MOST_READ + 1 if not size else 1 << 20):
                size += len(piece)
                self._hashed += len(piece)
                if size > MOST_HASHED:
                    # It is taken for another file whenever it is written.
                    digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
                    break
                if time.monotonic() > self._ends:
                    raise LimitError("the time for it is over")
                digest.update(piece)
                content = piece if size == len(piece) <= MOST_READ else b""
        is_short = size <= MOST_READ
        return File(status.st_mode, digest.hexdigest(), content if is_short else None)
