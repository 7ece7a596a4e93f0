"""Changes of files that a person owns: each made whole or not at all, and undone if need be.

In a TOML file the lines change that it takes, and nothing else: comments, order, quotes and line
ends stay. Every result is read again, and given back only if it says what it should; a file that
writes things in another form is left to its owner.
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
from typing import Any

import msgspec

from airlock_daemon.errors import AirlockError

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


_TOKEN = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
    | (?P<word> \"\"\"(?:\\.|[^\\])*?\"\"\"\"{0,2} | '''.*?''''{0,2}
        | "(?:\\.|[^"\\])*" | '[^']*' | [^\s\#"'\[\]{}=,]+ )
    | (?P<open> [\[{] ) | (?P<close> [\]}] ) | (?P<equals> = ) | (?P<comma> , )
    | (?P<newline> \n )
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A header, or a key with its value: `text[start:end]`, a comment behind it left out.

    `path` is the dotted key as it stands there; `value` is where the value begins, 0 for a header.
    """

    path: tuple[str, ...]
    start: int
    value: int
    end: int


def quote_string(text: str) -> str:
    """`text` as a TOML string. It must be Unicode without control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def format_array(items: Sequence[str]) -> str:
    """The strings as a TOML array on one line."""
    return f"[{', '.join(map(quote_string, items))}]"


def append_table(text: str, name: str, values: Mapping[str, str]) -> str | None:
    """`text` with a table of strings after all else; None where it has one of that name."""
    lines = [f"[{_format_key(name)}]", *(f"{key} = {quote_string(values[key])}" for key in values)]
    return _confirm(_add_lines(text, lines), {**tomllib.loads(text), name: dict(values)})


def remove_table(text: str, name: str) -> str | None:
    """`text` without the table `name`; None where that is not a header with keys below it."""
    wanted = tomllib.loads(text)
    wanted.pop(name, None)
    rest = iter(_split(text))
    header = next((each for each in rest if each.path == (name,) and not each.value), None)
    if header is None:
        return None
    end = header.end
    for each in rest:
        if not each.value:
            break
        end = each.end
    before, after = text[: header.start], text[_find_line_end(text, end) :]
    after = re.sub(r"\A\r?\n", "", after)
    # The blank line on one side of it is enough, and none is needed at the file's end.
    if not after:
        before = re.sub(r"(?<=\n)\r?\n\Z", "", before)
    elif not before or before.endswith(("\n\n", "\n\r\n")):
        after = re.sub(r"\A\r?\n", "", after)
    return _confirm(before + after, wanted)


def comment_out(text: str, keys: Collection[tuple[str, ...]]) -> str | None:
    """`text` with the `keys`, and all that is below them, as comments.

    None where they are written in a form that is not changed here.
    """
    wanted: dict[str, Any] = tomllib.loads(text)
    for *tables, key in keys:
        inner = wanted
        for name in tables:
            inner = inner.get(name, {})
        inner.pop(key, None)
    scope: tuple[str, ...] = ()
    pieces, position = [], 0
    for each in _split(text):
        path = each.path if not each.value else scope + each.path
        scope = scope if each.value else path
        if any(path[: len(key)] == tuple(key) for key in keys):
            start, end = text.rfind("\n", 0, each.start) + 1, _find_line_end(text, each.end)
            pieces += [text[position:start], re.sub("^", "# ", text[start:end], flags=re.MULTILINE)]
            position = end
    changed = "".join((*pieces, text[position:]))
    return changed if _prune(tomllib.loads(changed)) == _prune(wanted) else None


def extend_array(text: str, table: str, key: str, items: Sequence[str]) -> str | None:
    """`text` with `items` added to the array `key` of `table`, which are made where missing.

    None where they are written in a form that is not changed here.
    """
    wanted: dict[str, Any] = tomllib.loads(text)
    inner = wanted.setdefault(table, {})
    if not isinstance(inner, dict) or not isinstance(inner.setdefault(key, []), list):
        return None
    inner[key] = [*inner[key], *items]
    line = f"{key} = {format_array(items)}"
    scope: tuple[str, ...] = ()
    header: _Statement | None = None
    for each in _split(text):
        if not each.value:
            scope = each.path
            header = each if scope == (table,) else header
        elif scope + each.path == (table, key):
            return _confirm(_extend(text, each, items), wanted)
    if header is None:
        return _confirm(_add_lines(text, [f"[{table}]", line]), wanted)
    place = _find_line_end(text, header.end)
    return _confirm(text[:place] + _line_break(text) + line + text[place:], wanted)


def _split(text: str) -> Iterator[_Statement]:
    """The statements of a text that is valid TOML."""
    depth, start, value, end = 0, -1, 0, 0
    for token in _TOKEN.finditer(text + "\n"):
        kind = token.lastgroup
        if kind == "newline" and depth == 0 and start >= 0:
            key = text[start:end] if not value else f"{text[start:value]}0"
            yield _Statement(path=_find_path(key), start=start, value=value, end=end)
            start, value = -1, 0
        if kind in ("newline", "comment"):
            continue
        start = token.start() if start < 0 else start
        value = token.end() if kind == "equals" and depth == 0 and not value else value
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        end = token.end()


def _find_path(statement: str) -> tuple[str, ...]:
    path = []
    inner: Any = tomllib.loads(statement)
    while inner:
        # An array of tables is a list of one, and no table of its name.
        (key, inner), *_ = [("[]", inner[0])] if isinstance(inner, list) else inner.items()
        path.append(key)
    return tuple(path)


def _extend(text: str, statement: _Statement, items: Sequence[str]) -> str:
    """Add to the array that is the value of `statement`, in the manner of its last item."""
    tokens = [
        token
        for token in _TOKEN.finditer(text, statement.value, statement.end)
        if token.lastgroup not in ("newline", "comment")
    ]
    last, close = tokens[-2], tokens[-1]
    quoted = [quote_string(item) for item in items]
    if last.lastgroup == "open" and len(tokens) == 2:
        return text[: last.end()] + ", ".join(quoted) + text[close.start() :]
    has_comma = last.lastgroup == "comma"
    head = text[: last.end()] + ("" if has_comma else ",")
    if "\n" not in text[last.end() : close.start()]:
        added = ", ".join(quoted) + ("," if has_comma else "")
        return f"{head} {added}{text[last.end() :]}"
    item = tokens[-3] if has_comma else last
    line_start = text.rfind("\n", 0, item.start()) + 1
    before = text[line_start : item.start()]
    indent = before if not before.strip() else " " * 4
    rest = _find_line_end(text, last.end())
    lines = (_line_break(text) + indent + item for item in quoted)
    added = ",".join(lines) + ("," if has_comma else "")
    return head + text[last.end() : rest] + added + text[rest:]


def _add_lines(text: str, lines: Sequence[str]) -> str:
    newline = _line_break(text)
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    return text + gap + newline.join(lines) + newline


def _line_break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _find_line_end(text: str, position: int) -> int:
    """Where the line of `position` ends, before its line break."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end - 1 if text[:end].endswith("\r") else end


def _format_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else quote_string(name)


def _prune(value: Any) -> Any:
    """The same without empty tables, of which a header may be all that is there."""
    if not isinstance(value, dict):
        return value
    pruned = {key: _prune(inner) for key, inner in value.items()}
    return {key: inner for key, inner in pruned.items() if inner != {}}


def _confirm(text: str, wanted: object) -> str | None:
    try:
        return text if tomllib.loads(text) == wanted else None
    except tomllib.TOMLDecodeError:
        return None
