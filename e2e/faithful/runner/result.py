"""What came of one run, and in what another run differs from it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

_CHANCE: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "uuid": (rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"<uuid>"),
    "terminal-name": (rb"/dev/pts/[0-9]+", b"/dev/pts/<n>"),
}
"""All that is ever replaced before two runs are compared, by the name that an entry gives."""

_AROUND = 60


class Said(Struct, frozen=True, kw_only=True):
    """What one stream said: `kept` is all of it, or its first MiB where it was longer."""

    kept: bytes
    length: int
    digest: str

    def normalised(self, kinds: Sequence[str]) -> bytes:
        """Return the kept bytes without what differs by chance."""
        text = self.kept
        for kind in kinds:
            pattern, replacement = _CHANCE[kind]
            text = re.sub(pattern, replacement, text)
        return text

    def moved(self, before: bytes, after: bytes) -> "Said":
        """Return what a run says of the directory `after` that says this of `before`."""
        assert self.length == len(self.kept)
        kept = self.kept.replace(before, after)
        return Said(kept=kept, length=len(kept), digest=hashlib.sha256(kept).hexdigest())


class Result(Struct, frozen=True, kw_only=True):
    """What came of one run; what the way of running cannot tell is None.

    `status` is as a shell shows it: 128 and the number for a signal. `streams` are those that the
    runner read, by name. `leftovers` describes each path below the workspace afterwards. `position`
    is how far the file on stdin was read, `modes` the settings of the terminal, before and after.
    """

    status: int
    streams: Mapping[str, Said]
    leftovers: Mapping[str, str] | None = None
    position: int | None = None
    modes: tuple[str, str] | None = None

    def said(self) -> bytes:
        """Return what all streams together said."""
        return b"".join(said.kept for said in self.streams.values())

    def moved(self, before: bytes, after: bytes) -> "Result":
        """Return what comes of a run in the directory `after`, where this came of `before`."""
        streams = {name: said.moved(before, after) for name, said in self.streams.items()}
        return replace(self, streams=streams)

    def without(self, added: str) -> "Result | None":
        """Return the run without a last line of Airlock's with `added`; None without that."""
        for name, said in self.streams.items():
            before, _, last = said.kept.rstrip(b"\r\n").rpartition(b"\n")
            if last.startswith(b"airlock: ") and added.encode() in last:
                kept = before + b"\n" if before else b""
                digest = hashlib.sha256(kept).hexdigest()
                rest = Said(kept=kept, length=len(kept), digest=digest)
                return replace(self, streams={**self.streams, name: rest})
        return None


def differences(direct: Result, other: Result, kinds: Sequence[str] = ()) -> list[str]:
    """Say in what `other` differs from `direct`, in words; nothing where it does not."""
    found = []
    if direct.status != other.status:
        found.append(f"exit status {other.status} instead of {direct.status}")
    for name, said in direct.streams.items():
        found += _differ(name, said, other.streams[name], kinds)
    if direct.leftovers is not None and other.leftovers is not None:
        for path in sorted(direct.leftovers.keys() | other.leftovers.keys()):
            was, now = direct.leftovers.get(path), other.leftovers.get(path)
            if was != now:
                found.append(f"workspace: {path} is {now or 'missing'} instead of {was or 'none'}")
    if None not in (direct.position, other.position) and direct.position != other.position:
        found.append(f"stdin was read up to {other.position} instead of {direct.position}")
    if direct.modes and other.modes and direct.modes != other.modes:
        found.append(f"the terminal's settings are {other.modes} instead of {direct.modes}")
    return found


def _differ(name: str, direct: Said, other: Said, kinds: Sequence[str]) -> list[str]:
    was, now = direct.normalised(kinds), other.normalised(kinds)
    if was != now:
        return [f"{name}: {_show_first_difference(was, now)}"]
    if not kinds and (direct.length, direct.digest) != (other.length, other.digest):
        return [f"{name}: {other.length} bytes differ from {direct.length} after the first MiB"]
    return []


def _show_first_difference(was: bytes, now: bytes) -> str:
    pairs = enumerate(zip(was, now, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(was), len(now)))
    start = max(0, at - _AROUND // 2)
    return (
        f"from byte {at} of {len(was)}\n"
        f"    direct:  {was[start : at + _AROUND]!r}\n"
        f"    proxied: {now[start : at + _AROUND]!r}"
    )
