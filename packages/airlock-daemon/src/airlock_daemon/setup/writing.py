"""Changes of files that a person owns: each made whole or not at all, and undone if need be.

In a TOML file comments, order, quotes and line ends stay. Every result is read again, and given
back only if it says what it should; a file in another form is left to its owner.
"""

import difflib
import fcntl
import itertools
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from airlock_daemon.errors import AirlockError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_BOM = "\ufeff"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it is and as it should be: UTF-8 with the line ends that it has.

    `before` is None for a new file, `after` is None for one to be removed.
    """

    path: str
    before: str | None
    after: str | None

    def describe(self) -> Iterator[str]:
        """What changes, a line each: a new file whole, else the lines that go and come."""
        if self.after is None:
            yield f"remove {self.path}"
        elif self.before is None:
            yield f"make {self.path}:"
            yield from (f"    {line}".rstrip() for line in self.after.splitlines())
        else:
            yield f"change {self.path}:"
            diff = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0)
            # The first two name files, the others that are left out name places.
            for line in itertools.islice(diff, 2, None):
                if line[0] in "+-":
                    yield f"    {line[0]} {line[1:]}".rstrip()

    def apply(self, undo: ExitStack) -> None:
        """Make the change; what takes it back is pushed to `undo`. Raises AirlockError."""
        undo.callback(self._take_back)
        write_whole(self.path, self.after)

    def _take_back(self) -> None:
        # What was not made, or has been changed since, stays.
        if read_whole(self.path) == self.after:
            write_whole(self.path, self.before)


def read_whole(path: str) -> str | None:
    """The text of a file to be changed, with its line ends; None where there is none.

    Raises AirlockError where it cannot be read.
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


def edit(text: str, how: Callable[[str], str | None]) -> str | None:
    """What `how` makes of `text`, which it gets without a byte order mark and gives back so."""
    edited = how(text.removeprefix(_BOM))
    return _BOM + edited if edited is not None and text.startswith(_BOM) else edited


def make_directory(path: str, *, mode: int, undo: ExitStack) -> None:
    """Make a directory and those above it, which are private; what is there already stays.

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
    """Be the only one of these programs that changes files of the directories in the block.

    Another one is waited for, after a call of `wait`.
    """
    with ExitStack() as opened:
        # In one order, so that two do not wait for each other, and each once.
        for directory in sorted({os.path.realpath(each) for each in directories}):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def write_whole(path: str, text: str | None, *, mode: int = 0o600) -> None:
    """Replace a file by a new one with this text, or remove it; a link to one stays a link.

    `mode` is that of a file that was not there. Raises AirlockError.
    """
    # Where a person keeps such files elsewhere, with links to them.
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
                if os.path.exists(path):
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

    What has this text already stays. Raises AirlockError.
    """
    make_directory(os.path.dirname(path), mode=0o700, undo=ExitStack())
    if read_whole(path) != text:
        write_whole(path, text, mode=0o644)


def _remove_directory(path: str) -> None:
    # What somebody else has put in there meanwhile is not ours.
    with suppress(OSError):
        os.rmdir(path)


def _give(descriptor: int, *, like: str) -> None:
    """Give what root has made to the owner of `like`: the daemon's user may be another one."""
    if os.geteuid() == 0:
        info = os.stat(like)
        os.fchown(descriptor, info.st_uid, info.st_gid)


def _unwritable(path: str, error: OSError) -> AirlockError:
    return AirlockError(
        f"{path} cannot be written: {error.strerror}",
        hint="mend that, or run this as the user whose files these are",
    )


def quote_string(text: str) -> str:
    """`text` as a TOML string. It must be Unicode without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_array(items: Sequence[str]) -> str:
    """The strings as a TOML array on one line."""
    return f"[{', '.join(map(quote_string, items))}]"


def append_table(text: str, name: str, values: Mapping[str, str]) -> str | None:
    """`text` with a table of strings after all else; None where it has one of that name."""
    wanted = tomllib.loads(text)

    def append(document: "TOMLDocument") -> None:
        document[name] = dict(values)

    return None if name in wanted else _edit(text, append, {**wanted, name: dict(values)})


def extend_array(text: str, table: str, key: str, items: Sequence[str]) -> str | None:
    """`text` with `items` added to the array `key` of `table`, which are made where missing.

    None where something else has these names, or the array cannot be continued as it is written.
    """
    wanted: dict[str, Any] = tomllib.loads(text)
    inner = wanted.setdefault(table, {})
    if not isinstance(inner, dict) or not isinstance(inner.setdefault(key, []), list):
        return None
    inner[key] += items

    def extend(document: "TOMLDocument") -> None:
        document.setdefault(table, {}).setdefault(key, []).extend(items)

    return _edit(text, extend, wanted)


def remove_table(text: str, name: str) -> str | None:
    """`text` without the table `name`; None where it has lines with something else."""
    changed = _change_lines(text, [(name,)], lambda _: "")
    return None if changed is None else re.sub(r"(?<=\n)\r?\n\Z", "", changed)


def comment_out(text: str, keys: Collection[tuple[str, ...]]) -> str | None:
    """`text` with the `keys`, and all that is below them, as comments.

    None where they have lines with something else.
    """
    return _change_lines(text, keys, lambda line: f"# {line}")


def _edit(text: str, change: "Callable[[TOMLDocument], None]", wanted: object) -> str | None:
    """The text after a change of what it says; None where that is not what is wanted."""
    edited = _apply(text if text.endswith("\n") or not text else f"{text}\n", change)
    if edited is None:
        return None
    # Of a file that has both, the lines that stay keep theirs.
    if 0 < text.count("\n") == text.count("\r\n"):
        edited = re.sub("\r?\n", "\r\n", edited)
    try:
        return edited if tomllib.loads(edited) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def _apply(text: str, change: "Callable[[TOMLDocument], None]") -> str | None:
    """The text after a change; None where the library refuses it, or what it says."""
    # By those who edit alone, and no daemon that serves.
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    try:
        document = tomlkit.parse(text)
        change(document)
        return document.as_string()
    except TOMLKitError:
        return None


def _change_lines(
    text: str, keys: Collection[tuple[str, ...]], change: Callable[[str], str]
) -> str | None:
    """Change each line that the keys, and what is below them, have for themselves."""

    def drop(document: Any) -> None:
        for *tables, key in keys:
            inner = document
            for name in tables:
                inner = inner.get(name, {})
            inner.pop(key, None)

    wanted: dict[str, Any] = tomllib.loads(text)
    drop(wanted)
    rest = _apply(text, drop)
    if rest is None:
        return None
    before = text.splitlines(keepends=True)
    dropped = _find_dropped(before, rest.splitlines(keepends=True))
    if dropped is None:
        return None
    lines: list[str] = []
    position = 0
    for start, end in (*dropped, (len(before), len(before))):
        _keep(before[position:start], lines)
        # A comment above the next table is not this one's.
        own = end
        while own > start and before[own - 1].lstrip()[:1] in ("", "#"):
            own -= 1
        lines += filter(None, map(change, before[start:own]))
        _keep(before[own:end], lines)
        position = end
    changed = "".join(lines)
    return changed if _prune(tomllib.loads(changed)) == _prune(wanted) else None


def _find_dropped(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]] | None:
    """Where the lines stand that are missing `after`; None where that has others instead."""
    codes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    if any(tag not in ("equal", "delete") for tag, *_ in codes):
        return None
    places = [(start, end) for tag, start, end, *_ in codes if tag == "delete"]
    found = []
    for number, (start, end) in enumerate(places, start=1):
        limit = places[number][0] if number < len(places) else len(before)
        # Two tables may end alike: what is missing begins with the header of its own.
        shift = 0
        while end + shift < limit and before[start + shift] == before[end + shift]:
            shift += 1
        found.append((start + shift, end + shift))
    return found


def _keep(kept: Sequence[str], lines: list[str]) -> None:
    """Add what stays to `lines`, without a second blank line where something else has gone."""
    first = 0
    while first < len(kept) and not kept[first].strip() and lines and not lines[-1].strip():
        first += 1
    lines += kept[first:]


def _prune(value: Any) -> Any:
    """The same without empty tables, of which a header may be all that is there."""
    if not isinstance(value, dict):
        return value
    pruned = {key: _prune(inner) for key, inner in value.items()}
    return {key: inner for key, inner in pruned.items() if inner != {}}
