"""Secrets that must not reach a container, and searching data for pieces of them."""

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
"""This many consecutive characters of a password count as a leak."""
_STEP = RUN // 2
"""A run of RUN characters contains a whole piece of this length at a multiple of it."""


class Secret(Protocol):
    """A credential."""

    def find(self, data: bytes) -> list[bytes]:
        """Return the pieces of it that `data` contains."""


@dataclass(frozen=True, slots=True)
class Password:
    """A password or token."""

    value: str

    def forms(self) -> Iterator[bytes]:
        """Yield the forms of a leak: plain, URL-encoded, hexadecimal, and base64.

        The base64 depends on the number of bytes before; all three alignments are yielded, without
        the characters at the ends that depend on adjacent bytes.
        """
        plain = self.value.encode()
        yield plain
        yield urllib.parse.quote(self.value, safe="").encode()
        yield plain.hex().encode()
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + plain + bytes(3))
            yield encoded[4:-8]

    def find(self, data: bytes) -> list[bytes]:
        """Return the runs of RUN characters of any form that `data` contains."""
        found = set()
        for form in self.forms():
            for start in range(0, len(form) - _STEP + 1, _STEP):
                if form[start : start + _STEP] in data:
                    first, last = max(0, start + _STEP - RUN), min(start, len(form) - RUN)
                    found |= {form[begin : begin + RUN] for begin in range(first, last + 1)}
        return [run for run in found if run in data]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKey:
    """An SSH key. Bytes that `unlike`, any other key, has too are format and no secret."""

    key: KeyPair
    unlike: KeyPair

    def find(self, data: bytes) -> list[bytes]:
        """Return the runs of the key that `data` contains."""
        return find_runs(self.key, unlike=self.unlike, data=data)


def read_tree(folder: Path) -> bytes:
    """Return names and contents of all files below `folder`, and contents of zip archives."""
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
