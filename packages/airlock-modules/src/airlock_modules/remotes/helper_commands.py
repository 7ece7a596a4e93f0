"""What git says to a remote helper (gitremote-helpers(7)), of which only a connection is served."""

import re
from typing import Literal

from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.ssh_words import SERVICES, Service
from airlock_wire.text import quote

HelperCommand = Literal["capabilities", "option", "end"] | Service

_NAME = re.compile("git-[a-z-]{1,40}")
# Bytes of a line: more than any option that git has.
_LONGEST = 4096
# Commands: each is answered, and git says some ten of them.
_MOST = 200


def answer_helper(command: HelperCommand) -> bytes:
    """What a helper says: that it can connect, that it has no options, and that it is connected.

    After the last the streams are those of the service.
    """
    return {"capabilities": b"connect\n\n", "option": b"unsupported\n", "end": b""}.get(
        command, b"\n"
    )


class HelperReader:
    """Takes bytes as they come, and gives one command after the other.

    Not to be asked any further after a service or an error. `rest` is what was not read.
    """

    def __init__(self) -> None:
        """Begin before the first byte."""
        self.rest = b""
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Take what comes next."""
        self.rest += data

    def take(self) -> HelperCommand | None:
        """The next command, None where its line is not whole.

        Raises RemoteError for any other, and for more than git has to say.
        """
        line, newline, rest = self.rest.partition(b"\n")
        if len(line) > _LONGEST:
            raise RemoteError("a line for a remote helper is too long", rule="helper")
        if not newline:
            return None
        self.rest = rest
        self._count += 1
        if self._count > _MOST:
            raise RemoteError(
                f"a remote helper is asked for more than {_MOST} things", rule="helper"
            )
        return _read(line)


def _read(line: bytes) -> HelperCommand:
    if not line:
        return "end"
    if line == b"capabilities":
        return "capabilities"
    word, _, value = line.partition(b" ")
    if word == b"option" and value:
        return "option"
    text = line.decode("utf-8", "surrogateescape")
    if word != b"connect":
        raise RemoteError(f"a remote helper is asked for {quote(text, limit=80)}", rule="helper")
    name = text.partition(" ")[2]
    service = SERVICES.get(name)
    if service is None:
        shown = name if _NAME.fullmatch(name) else quote(name, limit=80)
        raise RemoteError(f"{shown} is not passed on", rule="service")
    return service
