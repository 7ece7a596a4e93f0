"""What a tool leaves in /tmp and the home of its box, which go with the box: which of it is a loss.

Only what stands at the top of these directories when the tool ends, and did not before, is looked
at. It is a loss if an argument names it, or if it was made for others to find. A tool's temporary
files are none (nobody else may read those of mkstemp(3) and mkdtemp(3)), nor are its directories of
settings and caches (they begin with a dot), sockets, histories, and a few known caches.
"""

import fnmatch
import itertools
import os
import re
import stat
import struct
from collections.abc import Callable, Iterator, Sequence

import msgspec

from airlock_daemon.sandbox.box import TMP
from airlock_wire import quote

_MODE = struct.Struct("<I")
_HEADER = 4

_MOST_ENTRIES = 100

# The lines that a client gets. Further losses are counted.
_MOST_LINES = 4

# Of shells and pagers, in a home.
_HISTORIES = (".*_history", ".lesshst", ".viminfo", ".wget-hsts")
# Of node, its compilers, and java: in /tmp, and for all users to read.
_CACHES = ("node-compile-cache", "v8-compile-cache-*", "jiti", "node-jiti", "hsperfdata_*")
_KNOWN = re.compile("|".join(map(fnmatch.translate, (*_HISTORIES, *_CACHES))))

# Where a name ends in a script, a list or a URL.
_DELIMITER = re.compile(r"[\s\"'`;:,&|()<>=?#]")


class Leftover(msgspec.Struct, frozen=True):
    """A file or directory at `path`, as the tool calls it, and its mode (inode(7))."""

    path: str
    mode: int


def decode_leftovers(message: bytes) -> tuple[Leftover, ...]:
    """What the launcher says in one message (`native/README.md`); a cut entry is left out."""
    found, start = list[Leftover](), _HEADER
    while (end := message.find(b"\0", start + _MODE.size)) >= 0:
        (mode,) = _MODE.unpack_from(message, start)
        found.append(Leftover(os.fsdecode(message[start + _MODE.size : end]), mode))
        start = end + 1
    return tuple(found)


def list_leftovers(directory: str, is_made: Callable[[str], bool]) -> tuple[Leftover, ...]:
    """What stands in `directory` of this host, but for the names that `is_made` knows.

    Of a very full directory it is only a part. Raises OSError.
    """
    with os.scandir(directory) as entries:
        return tuple(
            Leftover(each.path, each.stat(follow_symlinks=False).st_mode)
            for each in itertools.islice(entries, _MOST_ENTRIES)
            if not is_made(each.name)
        )


def find_losses(leftovers: Sequence[Leftover], argv: Sequence[str]) -> Iterator[str]:
    """What is lost, in words: a line for each, and one for all that are too many.

    `argv` are the words of the tool. An agent chooses how many and how long they are, and all
    agents wait meanwhile: it takes as long as it takes to read the words and the names once.
    """
    named = _find_named(leftovers, argv)
    lost = sorted(each.path for each in leftovers if each.path in named or _is_loss(each))
    for path in lost[:_MOST_LINES]:
        shown = path if quote(path, limit=None) == f'"{path}"' else quote(path)
        yield f"warning: {shown} was written where nothing is kept; write to the workspace instead"
    if len(lost) > _MOST_LINES:
        yield f"warning: so were {len(lost) - _MOST_LINES} more; write to the workspace instead"


def _find_named(leftovers: Sequence[Leftover], argv: Sequence[str]) -> set[str]:
    """The paths of files, directories and links that a word names, alone or with more around it."""
    paths = {each.path for each in leftovers if _is_file(each)}
    named = set[str]()
    for place in dict.fromkeys(map(os.path.dirname, paths)):
        start = place.rstrip("/") + "/"
        inside = re.compile(re.escape(start) + "([^/]+)")
        for word in argv:
            if start in word:
                for name in inside.findall(word):
                    named.add(start + name)
                    named.add(start + _DELIMITER.split(name, maxsplit=1)[0])
    return named & paths


def _is_file(leftover: Leftover) -> bool:
    return stat.S_ISREG(leftover.mode) or stat.S_ISDIR(leftover.mode) or stat.S_ISLNK(leftover.mode)


def _is_loss(leftover: Leftover) -> bool:
    """Whether it is one that no word names."""
    place, name = os.path.split(leftover.path)
    if not _is_file(leftover) or (name.startswith(".") and stat.S_ISDIR(leftover.mode)):
        return False
    if _KNOWN.match(name):
        return False
    # Settings, such as .npmrc, may be private too.
    is_setting = name.startswith(".") and place != TMP
    return is_setting or bool(leftover.mode & (stat.S_IRWXG | stat.S_IRWXO))
