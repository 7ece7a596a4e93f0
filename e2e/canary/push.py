"""What a client says in a push: pkt-lines, and a pack without anything in it."""

import hashlib

FLUSH = b"0000"
CAPABILITIES = "report-status side-band-64k delete-refs atomic"

_HEADER = b"PACK\0\0\0\2\0\0\0\0"
EMPTY_PACK = _HEADER + hashlib.sha1(_HEADER).digest()  # noqa: S324 - git's own, and no secret
"""For refs that get an object which the repository has already."""


def packet(line: bytes) -> bytes:
    """One pkt-line. Its `<main>`, `<base>` and `<zero>` become 40 characters, and count so."""
    filled = line
    for name in (b"<main>", b"<base>", b"<zero>", b"<MAIN>", b"<BASE>"):
        filled = filled.replace(name, bytes(40))
    return b"%04x" % (len(filled) + 4) + line


def update(ref: str, *, old: str = "<main>", new: str = "<base>", says: str | None = None) -> bytes:
    """The line that moves `ref`; `says` are the capabilities behind it."""
    text = f"{old} {new} {ref}" + ("" if says is None else f"\0{says}")
    return packet(text.encode("utf-8", "surrogateescape"))


def one_push(
    ref: str, *, old: str = "<main>", new: str = "<base>", says: str = CAPABILITIES
) -> bytes:
    """A whole push of one ref."""
    pack = b"" if new == "<zero>" else EMPTY_PACK
    return update(ref, old=old, new=new, says=says) + FLUSH + pack


LIST_REFS = packet(b"command=ls-refs\n") + b"0001" + FLUSH
"""What a client says to a service of fetches that speaks version 2 of git's protocol."""
