"""SSH key pairs, and searching data for pieces of one."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from .command import run

RUN = 20
"""This many consecutive bytes of a key count as a leak."""
_STEP = RUN // 2
"""A run of RUN bytes contains a whole piece of this length at a multiple of it."""
_EDGE = 3
"""This many bytes of a key next to bytes common to all keys are no leak."""


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
        """Create a pair in `path` and `path`.pub, owned by the account that runs the tests."""
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
        run(command).succeeded()
        public = Path(f"{path}.pub").read_text().split()
        os.remove(f"{path}.pub")
        return cls(path=path, private=path.read_bytes(), public=" ".join(public[:2]))

    def forms(self) -> tuple[bytes, ...]:
        """Return the forms of a leak: the file, its base64 in one line, its decoded bytes."""
        lines = self.private.splitlines()
        payload = b"".join(line for line in lines if line and not line.startswith(b"-----"))
        return self.private, payload, base64.b64decode(payload)


def find_runs(key: KeyPair, *, unlike: KeyPair, data: bytes) -> list[bytes]:
    """Return the runs of RUN bytes of `key` that `data` contains.

    Bytes that `unlike`, any other key, has too are format and no secret, so they are not searched
    for. Nor is a run with only three characters of the key at an edge of them, since one such
    character is equal in every fourth key.
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
