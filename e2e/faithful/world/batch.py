"""Many entries for one shell in a container: the script, and what it left behind."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from e2e.faithful.runner.content import pieces
from e2e.faithful.runner.entry import Content, Entry
from e2e.faithful.runner.result import Result, Said
from e2e.faithful.runner.wiring import capture_file, said


class Batch:
    """Entries to be run one after the other.

    `folder` holds their inputs and takes their outputs; it is mounted at `at` in the container.
    """

    def __init__(self, folder: Path, *, at: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.entries: list[Entry] = []
        self._at = at
        self._lines: list[bytes] = []

    def add(self, entry: Entry, argv: Sequence[bytes], *, folder: str) -> None:
        """Run `argv`, wired as `entry` says, in `folder`, a path in the container."""
        here = self.folder / entry.id
        here.mkdir(parents=True)
        at = f"{self._at}/{entry.id}"
        stdin, stdout, stderr = entry.ends
        feed = ""
        if isinstance(stdin, Content):
            with (here / "stdin").open("wb") as file:
                file.writelines(pieces(stdin))
            feed = f"cat {at}/stdin | " if stdin.via != "file" else ""
        source = f" <{at}/stdin" if isinstance(stdin, Content) else " </dev/null"
        targets = {"pipe": "", "file": f" >{at}/stdout", "null": " >/dev/null"}
        errors = {
            "pipe": " 2>&3 3>&-",
            "file": f" 2>{at}/stderr",
            "null": " 2>/dev/null",
            "stdout": " 2>&1",
        }
        call = b" ".join(_quote(word) for word in argv)
        redirections = ("" if feed else source) + targets[stdout] + errors[stderr]
        run = b"%b%b%b; echo $? >%b/status" % (
            feed.encode() + b"{ " if feed else b"",
            call,
            redirections.encode(),
            at.encode(),
        )
        run += b"; }" if feed else b""
        taken = f" | cat >{at}/stdout" if stdout == "pipe" else ""
        self._lines.append(
            b"cd %b && { { %b; }%b; } 3>&1 </dev/null | cat >%b/stderr-pipe\n"
            % (shlex.quote(folder).encode(), run, taken.encode(), at.encode())
        )
        self.entries.append(entry)

    def script(self) -> Path:
        """Write the script for the shell and return its path."""
        path = self.folder / "script"
        path.write_bytes(b"".join(self._lines))
        return path

    def read(self, entry: Entry, leftovers: dict[str, str]) -> Result | None:
        """Return what came of an entry, or None where it did not come to an end."""
        here = self.folder / entry.id
        try:
            status = int((here / "status").read_text())
        except (FileNotFoundError, ValueError):
            return None
        _, stdout, stderr = entry.ends
        streams = {}
        if stdout in {"pipe", "file"}:
            streams["stdout"] = _read(here / "stdout")
        if stderr in {"pipe", "file"}:
            streams["stderr"] = _read(here / ("stderr-pipe" if stderr == "pipe" else "stderr"))
        return Result(status=status, streams=streams, leftovers=leftovers)


def _read(path: Path) -> Said:
    with path.open("rb") as file:
        return said(capture_file(file.fileno()))


def _quote(word: bytes) -> bytes:
    return b"'" + word.replace(b"'", b"'\\''") + b"'"
