"""Writes files, each atomically, and directories, which are removed again on failure."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from airlock_daemon.errors import AirlockError


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
def replacing(path: str) -> Iterator[IO[bytes]]:
    """Yield a new file, which replaces the one at `path` unless the block fails. Raises OSError.

    A symlink at `path` is replaced itself. The file has the mode 0600 until the block changes it.
    """
    prefix = f".{os.path.basename(path)}."
    descriptor, new = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=prefix)
    try:
        # With its path as its name.
        with open(new, "wb", opener=lambda *_: descriptor) as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise


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
        with replacing(path) as file:
            file.write(text.encode())
            if follows and os.path.exists(path):
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
                _give(file.fileno(), like=path)
            else:
                os.fchmod(file.fileno(), mode)
                _give(file.fileno(), like=os.path.dirname(path))
    except OSError as error:
        raise _unwritable(path, error) from error


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
