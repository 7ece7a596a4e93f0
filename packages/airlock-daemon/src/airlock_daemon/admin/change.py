"""Changes of a person's files: shown, and undone on failure."""

import difflib
import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from airlock_daemon.files import read_exact, write_text


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file's old and new content: UTF-8 with its line ends.

    `before` is None for a new file, `after` is None for one to be removed.
    """

    path: str
    before: str | None
    after: str | None

    def describe(self) -> Iterator[str]:
        """Yield the change as lines: a new file in full, else the removed and added lines."""
        if self.after is None:
            yield f"remove {self.path}"
        elif self.before is None:
            yield f"make {self.path}:"
            yield from (f"    {line}".rstrip() for line in self.after.splitlines())
        else:
            yield f"change {self.path}:"
            diff = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0)
            # Skip the two file headers, and the lines with positions.
            for line in itertools.islice(diff, 2, None):
                if line[0] in "+-":
                    yield f"    {line[0]} {line[1:]}".rstrip()

    def apply(self, undo: ExitStack) -> None:
        """Make the change, and push its undo to `undo`. Raises AirlockError."""
        undo.callback(self._undo)
        write_text(self.path, self.after)

    def _undo(self) -> None:
        # A file that was not written, or has changed since, stays.
        if read_exact(self.path) == self.after:
            write_text(self.path, self.before)
