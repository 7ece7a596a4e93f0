"""git's two services over HTTP (gitprotocol-http(5)): what is asked for, and what is taken."""

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from airlock_daemon._version import __version__
from airlock_daemon.brokers.git.credential import find_authorization, host_of
from airlock_daemon.brokers.git.errand import UrlErrand
from airlock_daemon.brokers.git.url_admission import address_of, path_of
from airlock_daemon.brokers.http.answer import Answer, broken
from airlock_daemon.brokers.http.client import Body, HttpClient, Request
from airlock_daemon.brokers.http.connecting import connect
from airlock_daemon.brokers.requester import Requester
from airlock_daemon.errors import Denied, Failed
from airlock_modules import RemoteRequest
from airlock_wire import quote

# Servers know a git by how this begins.
_AGENT = f"git/airlock-{__version__}"
_FLUSH = b"0000"
# Bytes of what a server says of an error, and lines that are shown of it.
_MOST_SAID = 4096
_MOST_LINES = 20
_UNAUTHORIZED, _OK, _NOT_FOUND = 401, 200, 404

Take = Callable[[bytes], Awaitable[None]]


class RefusedByServer(Exception):
    """A server has answered with an error: `verdict` is the line that git prints of it.

    `said` are lines of the server's own, which git shows before that.
    """

    def __init__(self, verdict: str, said: tuple[str, ...] = ()) -> None:
        super().__init__(verdict)
        self.text = "".join(f"{line}\n" for line in (*said, verdict))


class SmartHttp:
    """The server of one errand. Its owner must `close` it.

    The account of the human is asked for when the server asks, and kept until then.
    """

    def __init__(self, errand: UrlErrand, asked: RemoteRequest, requester: Requester) -> None:
        self._errand = errand
        self._asked = asked
        self._requester = requester
        self._client = HttpClient(
            partial(connect, errand.origin, requester.lookups), requester.turns
        )
        self._authorization: str | None = None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def get_refs(self, take: Take) -> None:
        """Ask what the server has; `take` gets what it answers, piece by piece.

        Raises RefusedByServer, Denied for a redirect, Failed.
        """
        service = self._asked.service
        request = self._request(
            "GET", f"info/refs?service={service}", ("Accept", "*/*"), ("Pragma", "no-cache")
        )
        await self._ask(request, f"application/x-{service}-advertisement", take)

    async def post(self, body: bytes | Body, take: Take) -> None:
        """Send the service what a client says; as `get_refs` otherwise.

        A body that comes in pieces cannot be sent again: whether the server wants to know who sends
        it is found out before, as git does.
        """
        service = self._asked.service
        kind = f"application/x-{service}"
        request = partial(
            self._request,
            "POST",
            service,
            ("Content-Type", f"{kind}-request"),
            ("Accept", f"{kind}-result"),
        )
        if not isinstance(body, bytes) and self._authorization is None:
            await self._ask(request(body=_FLUSH), f"{kind}-result", _ignore)
        await self._ask(request(body=body), f"{kind}-result", take)

    def _request(
        self, method: str, name: str, *headers: tuple[str, str], body: bytes | Body = b""
    ) -> Request:
        length: tuple[tuple[str, str], ...] = ()
        if method == "POST" and isinstance(body, bytes):
            length = (("Content-Length", str(len(body))),)
        elif method == "POST":
            length = (("Transfer-Encoding", "chunked"),)
        version = self._version
        return Request(
            method=method,
            target=f"{path_of(self._errand.destination)}/{name}",
            headers=(
                ("Host", host_of(self._errand.destination)),
                ("User-Agent", _AGENT),
                ("Accept-Encoding", "identity"),
                *headers,
                *length,
                *(() if version is None else (("Git-Protocol", f"version={version}"),)),
            ),
            body=body,
        )

    @property
    def _version(self) -> int | None:
        if self._asked.is_push:
            return 1 if self._errand.is_first else None
        return 2

    async def _ask(self, request: Request, kind: str, take: Take) -> None:
        read = partial(self._read, kind, take)
        errand = self._errand
        while not await self._client.exchange(self._with_account(request), read):
            if self._authorization is not None:
                raise RefusedByServer(f"fatal: Authentication failed for '{self._shown}'")
            self._authorization = await find_authorization(
                errand.destination, errand.git, self._requester
            )

    def _with_account(self, request: Request) -> Request:
        if self._authorization is None:
            return request
        headers = (*request.headers, ("Authorization", self._authorization))
        return Request(
            method=request.method, target=request.target, headers=headers, body=request.body
        )

    @property
    def _shown(self) -> str:
        # As git shows it.
        return f"{address_of(self._errand.destination)}/"

    async def _read(self, kind: str, take: Take, answer: Answer) -> bool:
        """Take an answer; returns False where the server wants to know who asks."""
        if answer.status == _UNAUTHORIZED:
            self._expect_basic(answer)
            await answer.drop()
            return False
        if 300 <= answer.status < 400:
            raise self._redirected(answer)
        if answer.status != _OK:
            raise await self._refused(answer)
        found = answer.headers.get("content-type", "")
        if found.lower() != kind:
            shown = quote(found, limit=60)
            raise broken(f"it is of the type {shown}, which is not git's for this ({kind})")
        while piece := await answer.read():
            await take(piece)
        return True

    def _expect_basic(self, answer: Answer) -> None:
        challenges = answer.headers.get("www-authenticate", "").lower().split(",")
        if not any(challenge.split()[:1] == ["basic"] for challenge in challenges):
            raise Failed(
                f"{quote(self._errand.destination.host)} requires an unsupported authentication "
                "scheme (only Basic is supported)",
                hint="use a remote like git@HOST:PATH, if the server has ssh",
            )

    def _redirected(self, answer: Answer) -> Denied:
        shown = quote(_show_location(answer.headers.get("location", "")), limit=200)
        return Denied(
            f"{quote(self._errand.destination.host)} sends on to {shown}, which is not followed",
            layer="broker",
            rule="redirect",
            hint="if that is where the repository is now: git remote set-url NAME URL",
        )

    async def _refused(self, answer: Answer) -> RefusedByServer:
        said: tuple[str, ...] = ()
        if answer.headers.get("content-type", "").lower().startswith("text/plain"):
            said = await _read_said(answer)
        if answer.status == _NOT_FOUND:
            return RefusedByServer(f"fatal: repository '{self._shown}' not found", said)
        return RefusedByServer(
            f"fatal: unable to access '{self._shown}': "
            f"The requested URL returned error: {answer.status}",
            said,
        )


def _show_location(location: str) -> str:
    """Where a server sends on to, without what may be secret in it, and without git's own words."""
    try:
        parts = urlsplit(location)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "what is no URL"
    return urlunsplit((parts.scheme, host, parts.path.removesuffix("/info/refs"), "", ""))


async def _read_said(answer: Answer) -> tuple[str, ...]:
    """What a server says of an error, as git shows it, without what a terminal would obey."""
    said = b""
    try:
        while len(said) < _MOST_SAID and (piece := await answer.read()):
            said += piece
    except Failed:
        # The error is told all the same.
        return ()
    lines = said[:_MOST_SAID].decode("utf-8", "replace").splitlines()[:_MOST_LINES]
    shown = ("".join(each for each in line if each.isprintable()) for line in lines)
    return tuple(f"remote: {line}" for line in shown if line)


async def _ignore(piece: bytes) -> None:
    """What is said to a flush alone is of no use."""
