"""Reads files that a person wrote, with their faults, and writes some.

Each is written atomically; directories are removed again on failure. A finding of `check` and
`doctor` is a fault with the name of what was checked.
"""

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from airlock_daemon.errors import AirlockError
from airlock_modules import Fault


def read_exact(path: str) -> str | None:
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
        _chown_like(made, like=parent)
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


def write_text(path: str, text: str | None, *, mode: int = 0o600, follows: bool = True) -> None:
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
                _chown_like(file.fileno(), like=path)
            else:
                os.fchmod(file.fileno(), mode)
                _chown_like(file.fileno(), like=os.path.dirname(path))
    except OSError as error:
        raise _unwritable(path, error) from error


def _remove_directory(path: str) -> None:
    # Files that somebody else has put there stay.
    with suppress(OSError):
        os.rmdir(path)


def _chown_like(descriptor: int, *, like: str) -> None:
    """As root, give the file to the owner of `like`: the daemon may run as another user."""
    if os.geteuid() == 0:
        info = os.stat(like)
        os.fchown(descriptor, info.st_uid, info.st_gid)


def _unwritable(path: str, error: OSError) -> AirlockError:
    return AirlockError(
        f"{path} cannot be written: {error.strerror}",
        hint="mend that, or run this as the user whose files these are",
    )


class Finding(Fault, frozen=True, kw_only=True, omit_defaults=True):
    """A file (`source`, `key`), a cause (`problem`), and a remedy to copy.

    `name` is what was checked. A note may be intended, or needs no action.
    """

    name: str
    is_note: bool = False


def named(name: str, faults: Iterable[Fault]) -> Iterator[Finding]:
    """Convert faults to findings with this name."""
    for fault in faults:
        yield Finding(fault.source, fault.key, fault.problem, fault.remedy, name=name)


def read_text(path: str, *, faults: list[Fault], remedy: str) -> str | None:
    """The text of a UTF-8 file without a byte order mark; None and a fault if unreadable.

    `remedy` is for a missing file.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except FileNotFoundError:
        faults.append(Fault(path, "", "there is no such file", remedy))
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(path, "", f"cannot be read: {error}", "make it a readable UTF-8 file"))
    return None


def read_bounded(path: str, *, limit: int) -> bytes | None:
    """A regular file's content; None for other files, or at `limit` bytes and more.

    Raises OSError.
    """
    return _read_bounded(path, limit, 0)


def read_written(path: str, *, limit: int) -> bytes | None:
    """As `read_bounded`, where a container may write: None also for a symlink, and on error."""
    with suppress(OSError):
        return _read_bounded(path, limit, os.O_NOFOLLOW)
    return None


def _read_bounded(path: str, limit: int, flags: int) -> bytes | None:
    # O_NONBLOCK opens a FIFO without waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit)
    finally:
        os.close(descriptor)
    return content if len(content) < limit else None


def list_entries(directory: str, *, faults: list[Fault]) -> list[str]:
    """The sorted paths of all entries of `directory`; none, and no fault, if it is missing."""
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except FileNotFoundError:
        return []
    except OSError as error:
        faults.append(
            Fault(directory, "", f"cannot be listed: {error.strerror}", "make it readable")
        )
        return []
