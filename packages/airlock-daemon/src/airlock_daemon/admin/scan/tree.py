"""A workspace's files, looked at without obeying, following or waiting for anything in it.

Whoever wrote them may be hostile. Directories are opened from the workspace's own descriptor on,
and a link in any component is refused; only what is a plain file is opened for reading, and that
through the descriptor by which it was found to be one: a FIFO could be waited for, and opening a
device can do something. What could not be looked at is kept, to be told.
"""

import errno
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
_MOST_LINKS = 40
"""Links that are followed on the way to a file, as the kernel does."""
_MOST_MISSED = 1000
_PATH = getattr(os, "O_PATH", 0)
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Entry(msgspec.Struct, frozen=True):
    """A name in a directory: a directory, a plain file, a link, or something else."""

    name: str
    is_directory: bool
    is_link: bool
    is_file: bool


class File(msgspec.Struct, frozen=True):
    """A plain file: its mode, the digest of what is in it, and that itself where it is short.

    The digest of a file that may not be read is that of its status.
    """

    mode: int
    digest: str
    content: bytes | None
    is_readable: bool = True

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
        self._root = os.open(root, os.O_RDONLY | _DIRECTORY)
        self._parts = _split(root)
        self._ends = time.monotonic() + seconds
        self._entries = 0
        self._hashed = 0
        self.missed: dict[str, str] = {}

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._root)

    def read_directory(self, path: str) -> list[Entry]:
        """What is in a directory, sorted by name; nothing where there is none.

        Raises LimitError.
        """
        self._check_time()
        try:
            directory = self._open(path, os.O_RDONLY)
            try:
                with os.scandir(directory) as found:
                    return sorted(self._read(found), key=lambda each: each.name)
            finally:
                os.close(directory)
        except OSError as error:
            self._miss(path, error)
            return []

    def read(self, path: str) -> File | None:
        """The plain file at `path`, None where there is none. Raises LimitError."""
        above, name = os.path.split(path)
        try:
            directory = self._open(above)
            try:
                return self._read_file(directory, name)
            finally:
                os.close(directory)
        except OSError as error:
            self._miss(path, error)
            return None

    def read_link(self, path: str) -> str | None:
        """Where the link at `path` leads, None where there is none."""
        try:
            return self._read_link(path)
        except OSError as error:
            self._miss(path, error)
            return None

    def resolve(self, base: str, target: str) -> str | None:
        """The path without links to which `target` leads from the directory `base`.

        None where it leads out of the workspace. Links are followed one by one, as the kernel
        does. Of what is not there the path is told, unless ".." follows. Raises LimitError.
        """
        self._check_time()
        done = _split(base)
        waiting = self._enter(target, done)
        links = 0
        while waiting:
            part = waiting.pop(0)
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            path = "/".join((*done, part))
            try:
                link = self._read_link(path)
            except OSError as error:
                self._miss(path, error)
                is_plain = error.errno in _ABSENT and ".." not in waiting
                return "/".join((path, *waiting)) if is_plain else None
            if link is None:
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            waiting = [*self._enter(link, done), *waiting]
        return "/".join(done)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path`, and no link on the way."""
        try:
            os.close(self._open(path))
        except OSError as error:
            self._miss(path, error)
            return False
        return True

    def _enter(self, target: str, done: list[str]) -> list[str]:
        """The steps of `target`; an absolute one begins anew, at the workspace or outside of it."""
        steps = _split(target)
        if not target.startswith("/"):
            return steps
        done.clear()
        count = len(self._parts)
        return steps[count:] if steps[:count] == self._parts else [".."]

    def _open(self, path: str, flags: int = _PATH) -> int:
        """Open a directory, a component after the other."""
        parts = _split(path)
        if len(parts) > _DEEPEST:
            raise OSError(errno.ENAMETOOLONG, f"deeper than {_DEEPEST} directories")
        if ".." in parts:
            raise OSError(errno.EINVAL, "leads out of a directory")
        directory = os.dup(self._root)
        for number, part in enumerate(parts, start=1):
            wanted = flags if number == len(parts) else _PATH
            try:
                inner = os.open(part, wanted | _DIRECTORY, dir_fd=directory)
            finally:
                os.close(directory)
            directory = inner
        return directory

    def _read_link(self, path: str) -> str | None:
        """Where a link leads, None of what is none; raises OSError where there is nothing."""
        above, name = os.path.split(path)
        directory = self._open(above)
        try:
            return os.readlink(name, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise
        finally:
            os.close(directory)

    def _miss(self, path: str, error: OSError) -> None:
        """Keep what could not be looked at, which is there."""
        if error.errno in _ABSENT:
            return
        if len(self.missed) >= _MOST_MISSED:
            raise LimitError(f"more than {_MOST_MISSED} files and directories cannot be opened")
        self.missed.setdefault(path, error.strerror or str(error))

    def _check_time(self) -> None:
        if time.monotonic() > self._ends:
            raise LimitError("the time for it is over")

    def _read(self, found: Iterator[os.DirEntry[str]]) -> Iterator[Entry]:
        for each in found:
            self._entries += 1
            if self._entries > MOST_ENTRIES:
                raise LimitError(f"more than {MOST_ENTRIES} files and directories")
            if not self._entries % 256:
                self._check_time()
            yield Entry(
                each.name,
                is_directory=each.is_dir(follow_symlinks=False),
                is_link=each.is_symlink(),
                is_file=each.is_file(follow_symlinks=False),
            )

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
            try:
                again = os.open(
                    f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                )
            except PermissionError:
                return _describe_unreadable(status)
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
                    digest.update(f"{status.st_size} {status.st_ctime_ns}".encode())
                    break
                self._check_time()
                digest.update(piece)
                content = piece if size == len(piece) <= MOST_READ else b""
        is_short = size <= MOST_READ
        return File(status.st_mode, digest.hexdigest(), content if is_short else None)


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _describe_unreadable(status: os.stat_result) -> File:
    """A file that may be executed, or made readable at any time, and not be read now."""
    known = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    digest = hashlib.sha256(repr(known).encode()).hexdigest()
    return File(status.st_mode, digest, None, is_readable=False)
