"""The content of transfers: files that `cat` reads several times."""

import random
from pathlib import Path
from typing import Literal

from bench.plan import MIB

Kind = Literal["text of 80 columns", "random bytes", "one line without a newline"]

_PIECE = 16 * MIB

_LETTERS = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,:;-_/()[]="


def write_content(folder: Path, kind: Kind, size: int) -> tuple[str, ...]:
    """Return paths with `size` bytes of a kind in total; creates the files as needed.

    One file of 16 MiB is repeated, so that it is read from the page cache.
    """
    whole, rest = divmod(size, _PIECE)
    paths = [_write(folder, kind, _PIECE)] * whole
    if rest:
        paths.append(_write(folder, kind, rest))
    return tuple(paths)


def _write(folder: Path, kind: Kind, size: int) -> str:
    path = folder / f"{kind.replace(' ', '-')}-{size}"
    if not path.exists():
        path.write_bytes(_make(kind, size))
    return str(path)


def _make(kind: Kind, size: int) -> bytes:
    source = random.Random(1)  # noqa: S311 - the same bytes each time, not secret ones
    match kind:
        case "text of 80 columns":
            lines = (bytes(source.choices(_LETTERS, k=79)) for _ in range(4096))
            block = b"\n".join(lines) + b"\n"
            return (block * (size // len(block) + 1))[:size]
        case "random bytes":
            return source.randbytes(size)
        case "one line without a newline":
            return b"x" * size
