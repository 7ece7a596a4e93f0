"""SSH key pairs, and the search for pieces of one in what a container can see."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from .command import run

RUN = 20
"""So many bytes of a key in a row count as a leak."""
_STEP = RUN // 2
"""A run of RUN bytes holds a whole piece of this length that starts at a multiple of it."""
_EDGE = 3
"""So many bytes of a key beside what all keys have are no leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An ed25519 key pair in OpenSSH's form, without a passphrase."""

    path: Path
    private: bytes
    """The text of the private key's file."""
    public: str
    """The line for authorized_keys, without a comment."""

    @classmethod
    def make(cls, path: Path) -> "KeyPair":
        """Make a pair in `path` and `path`.pub, which belong to the account that runs the tests."""
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
        run(command).succeeded()
        public = Path(f"{path}.pub").read_text().split()
        os.remove(f"{path}.pub")
        return cls(path=path, private=path.read_bytes(), public=" ".join(public[:2]))

    def forms(self) -> tuple[bytes, ...]:
        """Return what a leak may look like: the file, its base64 in one line, its bytes."""
        lines = self.private.splitlines()
        payload = b"".join(line for line in lines if line and not line.startswith(b"-----"))
        return self.private, payload, base64.b64decode(payload)


def find_runs(key: KeyPair, *, unlike: KeyPair, data: bytes) -> list[bytes]:
    """Return the runs of RUN bytes of `key` that `data` contains.

    What `unlike`, any other key, has as well is format and no secret: it is not looked for, and no
    more is a run that has but three characters of the key at an edge of it, since one such
    character is alike in every fourth key.
    """
    common = unlike.forms()
    found = []
    for form in key.forms():
        for start in range(0, len(form) - _STEP + 1, _STEP):
            piece = form[start : start + _STEP]
            if piece in data:
                first, last = max(0, start + _STEP - RUN), min(start, len(form) - RUN)
                around = {form[begin : begin + RUN] for begin in range(first, last + 1)}
                found += [
                    run
                    for run in around
                    if run in data and not any(run[_EDGE:-_EDGE] in c for c in common)
                ]
    return found
