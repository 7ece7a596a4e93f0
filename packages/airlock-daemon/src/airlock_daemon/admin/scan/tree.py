"""Reads a workspace's files without obeying, following or waiting for anything in it.

Whoever wrote them may be hostile. Directories are opened relative to the workspace's descriptor,
and a symlink in any component is refused. Only regular files are opened for reading, through the
descriptor that identified them: opening a FIFO can block, and opening a device can have effects.
What could not be examined is stored, to be reported.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator

import msgspec

MAX_ENTRIES = 1_000_000
MAX_READ = 256 * 1024
"""The most bytes of a file that is read line by line; a larger one has a digest only."""
MAX_HASHED = 64 * 1024 * 1024
_DEEPEST = 64
_MAX_LINKS = 40
"""The symlinks that are followed on the way to a file, as in the kernel."""
_MAX_MISSED = 1000
_PATH = getattr(os, "O_PATH", 0)
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Entry(msgspec.Struct, frozen=True):
    """A name in a directory: a directory, a regular file, a symlink, or something else."""

    name: str
    is_directory: bool
    is_link: bool
    is_file: bool


class File(msgspec.Struct, frozen=True):
    """A regular file: its mode, its content's digest, and the content if it is short.

    The digest of an unreadable file is that of its status.
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
    """A limit of the scan was exceeded; the text says which."""


class Tree:
    """The directory `root` and all below it; `seconds` limit the scan.

    All other paths are relative to it, "" for itself. Its owner must `close` it.
    """

    def __init__(self, root: str, *, seconds: float) -> None:
        """Open it; raises OSError."""
        self._root = os.open(root, os.O_RDONLY | _DIRECTORY)
        self._parts = _split(root)
        self._ends = time.monotonic() + seconds
        self._entries = 0
        self.missed: dict[str, str] = {}

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._root)

    def read_directory(self, path: str) -> list[Entry]:
        """The entries of a directory, sorted by name; none if there is no directory.

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
        """The regular file at `path`, None if there is none. Raises LimitError."""
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
        """The target of the symlink at `path`, None if there is none."""
        try:
            return self._read_link(path)
        except OSError as error:
            self._miss(path, error)
            return None

    def resolve(self, base: str, target: str) -> str | None:
        """Resolve `target` from the directory `base` to a path without symlinks.

        None if it leads out of the workspace. Symlinks are followed one by one, as in the kernel. A
        missing path is returned too, unless ".." follows. Raises LimitError.
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
            if links > _MAX_LINKS:
                return None
            waiting = [*self._enter(link, done), *waiting]
        return "/".join(done)

    def is_directory(self, path: str) -> bool:
        """Whether `path` is a directory, with no symlink on the way."""
        try:
            os.close(self._open(path))
        except OSError as error:
            self._miss(path, error)
            return False
        return True

    def _enter(self, target: str, done: list[str]) -> list[str]:
        """The steps of `target`; an absolute one restarts, at the workspace or outside of it."""
        steps = _split(target)
        if not target.startswith("/"):
            return steps
        done.clear()
        count = len(self._parts)
        return steps[count:] if steps[:count] == self._parts else [".."]

    def _open(self, path: str, flags: int = _PATH) -> int:
        """Open a directory, component by component."""
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
        """The target of a symlink, None for other files; raises OSError if nothing is there."""
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
        """Store an existing path that could not be examined."""
        if error.errno in _ABSENT:
            return
        if len(self.missed) >= _MAX_MISSED:
            raise LimitError(f"more than {_MAX_MISSED} files and directories cannot be opened")
        self.missed.setdefault(path, error.strerror or str(error))

    def _check_time(self) -> None:
        if time.monotonic() > self._ends:
            raise LimitError("the time for it is over")

    def _read(self, found: Iterator[os.DirEntry[str]]) -> Iterator[Entry]:
        for each in found:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                raise LimitError(f"more than {MAX_ENTRIES} files and directories")
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
            # The very file that was found to be regular, even if its name was replaced.
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
        """Read an open file, and close it."""
        digest = hashlib.sha256()
        content = b""
        with open(descriptor, "rb") as file:
            size = 0
            while piece := file.read(MAX_READ + 1 if not size else 1 << 20):
                size += len(piece)
                if size > MAX_HASHED:
                    # It counts as changed whenever it is written.
                    digest.update(f"{status.st_size} {status.st_ctime_ns}".encode())
                    break
                self._check_time()
                digest.update(piece)
                content = piece if size == len(piece) <= MAX_READ else b""
        is_short = size <= MAX_READ
        return File(status.st_mode, digest.hexdigest(), content if is_short else None)


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _describe_unreadable(status: os.stat_result) -> File:
    """A file that cannot be read now, but may be executed, or made readable at any time."""
    known = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    digest = hashlib.sha256(repr(known).encode()).hexdigest()
    return File(status.st_mode, digest, None, is_readable=False)
