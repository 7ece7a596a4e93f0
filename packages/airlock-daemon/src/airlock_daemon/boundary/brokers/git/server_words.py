"""What is told of a server's unusable answer: its own words, unless they repeat a credential.

A server may show the request that it got, with the credential in it.
"""

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from airlock_daemon.boundary.brokers.http import Answer, broken
from airlock_daemon.boundary.brokers.http.searching import Search
from airlock_daemon.errors import Failed
from airlock_wire import quote

# Characters shown of an error message, and lines.
_MAX_SAID = 4096
_MAX_LINES = 20


def list_secrets(value: str) -> Iterator[str]:
    """Yield a header's value and the secrets within it (RFC 7617)."""
    yield value
    token = value.rpartition(" ")[2]
    yield token
    try:
        account = base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return
    yield account.partition(":")[2]


class ServerWords:
    """The words of a server that was sent `authorization`, None for nothing."""

    def __init__(self, authorization: str | None) -> None:
        self._search = Search(*list_secrets(authorization or ""))

    def quote(self, text: str, *, limit: int) -> str:
        """Quote what the server says. Raises Failed if that repeats the credential."""
        if self._repeats(text):
            raise broken("it repeats what the server was shown")
        return quote(text, limit=limit)

    def quote_location(self, location: str) -> str:
        """A redirect's target, without possible secrets and without git's own suffix."""
        try:
            parts = urlsplit(location)
            host = parts.netloc.rpartition("@")[2]
        except ValueError:
            return self.quote("what is no URL", limit=200)
        path = parts.path.removesuffix("/info/refs")
        return self.quote(urlunsplit((parts.scheme, host, path, "", "")), limit=200)

    async def read_message(self, answer: Answer) -> tuple[str, ...]:
        """A plain error message as git shows it, without terminal controls; () if it is withheld.

        More of it is read than is shown, so that no part of the credential is.
        """
        if not answer.headers.get("content-type", "").lower().startswith("text/plain"):
            return ()
        said = b""
        try:
            while len(said) < 2 * _MAX_SAID and (piece := await answer.read()):
                said += piece
        except Failed:
            # The error's status is reported anyway.
            return ()
        text = said.decode("utf-8", "replace")
        if self._repeats(text):
            return ()
        lines = text[:_MAX_SAID].splitlines()[:_MAX_LINES]
        return tuple(f"remote: {shown}" for line in lines if (shown := _drop_controls(line)))

    def _repeats(self, text: str) -> bool:
        return self._search.is_in(b"", _drop_controls(text).encode())


def _drop_controls(text: str) -> str:
    return "".join(filter(str.isprintable, text))
