"""The client's terminal, from `params.tty`."""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct

_TERM: Final = re.compile(r"[A-Za-z0-9+._-]{1,64}")

MAX_SIZE: Final = 65_535
"""Maximum rows or columns: the kernel's `struct winsize` has 16 bits for each (tty_ioctl(4))."""

Rows = Annotated[int, Meta(ge=0, le=MAX_SIZE, description="Its lines; 0 where not known.")]
Columns = Annotated[int, Meta(ge=0, le=MAX_SIZE, description="Its columns; 0 where not known.")]


class Terminal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which of the client's streams are a terminal, and what that terminal is like.

    `rows` and `cols` are 0 to 65535, 0 if unknown. `term` is the value of TERM; a received one has
    only letters, digits and `+._-`.
    """

    stdin: Annotated[bool, Meta(description="Whether the client's stdin is a terminal.")]
    stdout: Annotated[bool, Meta(description="Whether its stdout is one.")]
    stderr: Annotated[bool, Meta(description="Whether its stderr is one.")]
    rows: Rows
    cols: Columns
    term: Annotated[
        str | None,
        Meta(
            description="The client's TERM: 1 to 64 letters, digits and `+._-`.",
            extra_json_schema={"pattern": f"^{_TERM.pattern}$"},
        ),
    ] = None

    @property
    def is_wanted(self) -> bool:
        """Whether output goes to a terminal; with a terminal only on stdin there is no echo."""
        return self.stdout or self.stderr


def is_term(text: str) -> bool:
    """Whether `text` is a valid `term`."""
    return _TERM.fullmatch(text) is not None
