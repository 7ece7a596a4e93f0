"""Changes of a person's files: each atomic, and undone on failure."""

import difflib
import fcntl
import itertools
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from airlock_daemon.errors import AirlockError


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file's old and new content: UTF-8 with its line ends.

    `before` is None for a new file, `after` is None for one to be removed.
    """

    path: str
    before: str | None
    after: str | None

    def describe(self) -> Iterator[str]:
        """Yield the change as lines: a new file in full, else the removed and added lines."""
        if self.after is None:
            yield f"remove {self.path}"
        elif self.before is None:
            yield f"make {self.path}:"
            yield from (f"    {line}".rstrip() for line in self.after.splitlines())
        else:
            yield f"change {self.path}:"
            diff = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0)
            # Skip the two file headers, and the lines with positions.
            for line in itertools.islice(diff, 2, None):
                if line[0] in "+-":
                    yield f"    {line[0]} {line[1:]}".rstrip()

    def apply(self, undo: ExitStack) -> None:
        """Make the change, and push its undo to `undo`. Raises AirlockError."""
        undo.callback(self._take_back)
        write_whole(self.path, self.after)

    def _take_back(self) -> None:
        # A file that was not written, or has changed since, stays.
        if read_whole(self.path) == self.after:
            write_whole(self.path, self.before)


def read_whole(path: str) -> str | None:
    """The text of a file to change, with its line ends; None if it is missing.

    Raises AirlockError if it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AirlockError(
            f"{path} cannot be read: {error}", hint="make it a readable UTF-8 file"
        ) from error


def make_directory(path: str, *, mode: int, undo: ExitStack) -> None:
    """Make a directory (and private parents) unless it exists; push the undo to `undo`.

    Raises AirlockError.
    """
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        make_directory(parent, mode=0o700, undo=undo)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except OSError as error:
        raise _unwritable(path, error) from error
    undo.callback(_remove_directory, path)
    made = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(made, mode)
        _give(made, like=parent)
    finally:
        os.close(made)


@contextmanager
def alone(directories: Iterable[str], *, wait: Callable[[], None]) -> Iterator[None]:
    """Lock the directories against other Airlock programs during the block.

    If another one has a lock, calls `wait`, then waits.
    """
    with ExitStack() as opened:
        # Sorted, so that two programs cannot deadlock, and each once.
        for directory in sorted({os.path.realpath(each) for each in directories}):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def write_whole(path: str, text: str | None, *, mode: int = 0o600, follows: bool = True) -> None:
    """Replace a file atomically with this text, or remove it; a symlink to it stays.

    `mode` is for a new file. Without `follows` a symlink is replaced itself. Raises AirlockError.
    """
    if follows:
        # A person may symlink such files to another directory.
        path = os.path.realpath(path)
    try:
        if text is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
            return
        directory = os.path.dirname(path)
        descriptor, new = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                if follows and os.path.exists(path):
                    os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
                    _give(descriptor, like=path)
                else:
                    os.fchmod(descriptor, mode)
                    _give(descriptor, like=directory)
                os.fsync(descriptor)
            os.replace(new, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(new)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error


def write_public(path: str, text: str) -> None:
    """Write a file that every user of a container may read, in a private directory.

    Does nothing if it has this text already. Raises AirlockError.
    """
    make_directory(os.path.dirname(path), mode=0o700, undo=ExitStack())
    if read_whole(path) != text:
        write_whole(path, text, mode=0o644)


def _remove_directory(path: str) -> None:
    # Files that somebody else has put there stay.
    with suppress(OSError):
        os.rmdir(path)


def _give(descriptor: int, *, like: str) -> None:
    """As root, give the file to the owner of `like`: the daemon may run as another user."""
    if os.geteuid() == 0:
        info = os.stat(like)
        os.fchown(descriptor, info.st_uid, info.st_gid)


def _unwritable(path: str, error: OSError) -> AirlockError:
    return AirlockError(
        f"{path} cannot be written: {error.strerror}",
        hint="mend that, or run this as the user whose files these are",
    )
