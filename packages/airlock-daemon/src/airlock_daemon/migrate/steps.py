"""The steps of a migration, as values, and as lines for a shell that do the same."""

import shlex

import msgspec


class Make(msgspec.Struct, frozen=True, kw_only=True):
    """Make a private directory; the one above it is there."""

    path: str


class SetMode(msgspec.Struct, frozen=True, kw_only=True):
    """Set the mode of a directory that is there."""

    path: str
    mode: int


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """Write a text that ends with a line break; `before` is what is there, None for no file."""

    path: str
    before: str | None
    after: str


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Copy a file with its mode to a place where nothing is yet."""

    source: str
    target: str


class CopyTree(msgspec.Struct, frozen=True, kw_only=True):
    """Copy a file or a directory, with modes and links as they are, into an unfinished backup."""

    source: str
    target: str


class Rename(msgspec.Struct, frozen=True, kw_only=True):
    """Give something another name in its directory, which nothing has yet."""

    source: str
    target: str


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a file of which the backup has the same."""

    path: str
    backup: str


class RemoveDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a directory that is empty by then."""

    path: str


class Discard(msgspec.Struct, frozen=True, kw_only=True):
    """Remove what is there of a backup that was not made whole."""

    path: str


PlainStep = Make | SetMode | Copy | CopyTree | Rename | Remove | RemoveDirectory | Discard
"""Those that are one command of a shell."""

Step = PlainStep | Write


def write_shell(step: Step) -> str:
    """The step as lines of a POSIX shell, whose umask is 077."""
    if isinstance(step, Write):
        end = "END"
        while end in step.after.split("\n"):
            end += "_"
        return f"cat > {shlex.quote(step.path)} <<'{end}'\n{step.after}{end}"
    return shlex.join(_list_words(step))


def _list_words(step: PlainStep) -> tuple[str, ...]:
    match step:
        case SetMode():
            words: tuple[str, ...] = ("chmod", f"{step.mode:04o}", step.path)
        case Copy():
            words = ("cp", "-p", step.source, step.target)
        case CopyTree():
            words = ("cp", "-a", step.source, step.target)
        case Rename():
            words = ("mv", step.source, step.target)
        case Discard():
            words = ("rm", "-r", step.path)
        case Make():
            words = ("mkdir", step.path)
        case Remove():
            words = ("rm", step.path)
        case RemoveDirectory():
            words = ("rmdir", step.path)
    return words
