"""What must not be found in a container, and the search for pieces of it."""

import base64
import io
import os
import urllib.parse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .keys import KeyPair, find_runs

RUN = 16
"""So many characters of a password in a row count as a leak."""
_STEP = RUN // 2
"""A run of RUN characters holds a whole piece of this length that starts at a multiple of it."""


class Secret(Protocol):
    """Something that lets its owner in somewhere."""

    def find(self, data: bytes) -> list[bytes]:
        """Return the pieces of it that `data` contains."""


@dataclass(frozen=True, slots=True)
class Password:
    """A word that lets its owner in."""

    value: str

    def forms(self) -> Iterator[bytes]:
        """Yield what a leak may look like: plain, URL-encoded, hexadecimal, in base64.

        What base64 makes of it depends on how many bytes stand before it; all three ways are here,
        without the characters at the ends that it shares with its neighbours.
        """
        plain = self.value.encode()
        yield plain
        yield urllib.parse.quote(self.value, safe="").encode()
        yield plain.hex().encode()
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + plain + bytes(3))
            yield encoded[4:-8]

    def find(self, data: bytes) -> list[bytes]:
        """Return the runs of RUN characters of any form of it that `data` contains."""
        found = set()
        for form in self.forms():
            for start in range(0, len(form) - _STEP + 1, _STEP):
                if form[start : start + _STEP] in data:
                    first, last = max(0, start + _STEP - RUN), min(start, len(form) - RUN)
                    found |= {form[begin : begin + RUN] for begin in range(first, last + 1)}
        return [run for run in found if run in data]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """An SSH key. What `unlike`, any other key, has as well is format and no secret."""

    key: KeyPair
    unlike: KeyPair

    def find(self, data: bytes) -> list[bytes]:
        """Return the runs of the key that `data` contains."""
        return find_runs(self.key, unlike=self.unlike, data=data)


def read_tree(folder: Path) -> bytes:
    """Return the names and contents of all files below `folder`, and what zip archives hold."""
    parts = []
    for above, _, names in os.walk(folder):
        for name in names:
            path = Path(above, name)
            parts.append(os.fsencode(path))
            if path.is_file() and not path.is_symlink():
                parts.extend(_unpack(path.read_bytes()))
    return b"\0".join(parts)


def _unpack(data: bytes) -> Iterator[bytes]:
    yield data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield archive.read(name)
