"""Serves the transfer agent of Git LFS, one object at a time.

The agent (the shim in the container) sends one line per object. Only the daemon knows where the
content comes from and goes to:

    download OID SIZE     data N, and N bytes; as often as needed; then done
    upload OID SIZE       done, if the server has it; else send, after which the agent sends
                          SIZE bytes; then done
    either                error N, and N bytes of text, instead of done

An upload that fails midway ends the conversation: the rest of it is not read.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urljoin

import msgspec
from msgspec.structs import replace

from airlock_daemon._version import __version__
from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.git.credential import find_authorization
from airlock_daemon.boundary.brokers.git.over_ssh import admit_ssh, read_asked
from airlock_daemon.boundary.brokers.git.rules import (
    Decision,
    Report,
    SshRemote,
    UrlRemote,
    admit_protocol,
    admit_service,
    admit_url,
    encode_path,
    find_granted,
    find_origin,
    read_remote,
    refuse_words,
    url_of,
)
from airlock_daemon.boundary.brokers.git.server_words import list_secrets
from airlock_daemon.boundary.brokers.http import (
    TRY_AGAIN,
    Answer,
    Body,
    HttpClient,
    Origin,
    Request,
    broken,
    connect,
)
from airlock_daemon.boundary.brokers.http.searching import Search
from airlock_daemon.boundary.brokers.requester import Requester, Streams
from airlock_daemon.boundary.command import Emit, Ended
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_daemon.setup.generation import Generation
from airlock_modules import Place, RemoteError, RemoteRequest, find_place
from airlock_modules.operation import Operation
from airlock_modules.remotes.lfs import (
    Action,
    Href,
    LfsRequest,
    Offer,
    Refusal,
    Wanted,
    compose_batch,
    compose_verification,
    read_batch,
    read_href,
    read_lfs_words,
    read_login,
    read_message,
    read_wanted,
)
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_daemon.boundary.brokers.git.approval import TransferApproval

# What the server returns for a transfer stays here: signed URLs, tokens, headers. Of a failed
# transfer the agent gets only the status, since that server may repeat anything it received. Only
# messages of the batch API are forwarded, unless they contain a secret that it received.

_AGENT = f"git-lfs/airlock-{__version__}"
_JSON = "application/vnd.git-lfs+json"
# Bytes of the API's answer about one object.
_MAX_ANSWER = 1 << 18
# Characters shown of a server's message.
_MAX_SHOWN = 300
_MAX_REDIRECTS = 3
# Connections kept besides the API's: it may name another server for each object.
_MAX_OTHERS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class LfsRemote(msgspec.Struct, frozen=True, kw_only=True):
    """An LFS server for the large files of the fetch or push in `wanted`.

    `api` is the API of an https remote; an ssh remote is asked for its API over `login`. `place` is
    the profile's line that names the remote, if any.
    """

    wanted: LfsRequest
    api: UrlRemote | None
    login: SshRemote | None
    git: str
    place: Place | None


async def admit_lfs(
    words: tuple[str, ...], generation: Generation, requester: Requester
) -> LfsRemote:
    """Admit a git-lfs transfer, under the rules for the fetch or push that it belongs to."""
    try:
        wanted = read_lfs_words(words)
        transport = wanted.words[0]
        if transport == "ssh":
            wanted = replace(wanted, asked=read_asked(wanted.words[1:], generation))
    except RemoteError as error:
        raise refuse_words(error) from error
    admit_protocol(transport, generation)
    asked = wanted.asked
    api = login = None
    if transport == "ssh":
        command = f"git-lfs-authenticate '{asked.destination.path}' {wanted.operation}"
        login = await admit_ssh(asked, command, ("-T",), generation, requester)
    else:
        api = await admit_url(read_remote(wanted.words, generation), generation, requester)
        admit_service(api, asked, generation)
    return LfsRemote(
        wanted=wanted,
        api=api,
        login=login,
        git=generation.programs.demand("git"),
        place=find_granted(asked, generation),
    )


class LfsOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one object: `bytes` were transferred; `error` is why the transfer failed.

    With neither `error` nor `is_done`, the conversation ended during the transfer.
    """

    wanted: Wanted
    bytes: int
    is_done: bool
    error: AirlockError | None = None

    def report(self, asked: RemoteRequest, write: Report) -> None:
        """Write the `broker` record."""
        decision: Decision
        rule, reason = None, None
        if isinstance(self.error, Denied):
            decision, rule, reason = "denied", self.error.rule, self.error.message
        elif self.error is not None:
            decision, reason = "failed", self.error.message
        elif self.is_done:
            decision = "allowed"
        else:
            decision, reason = "aborted", "the conversation ended in the middle of the object"
        write(decision, self.describe(asked), rule=rule, reason=reason)

    def describe(self, asked: RemoteRequest) -> dict[str, object]:
        """Build the `detail` of a `broker` record of one large file (Git LFS), less than 3 KiB.

        Its operation is `git lfs upload PLACE OID SIZE`; `bytes` or `received` counts the bytes
        transferred.
        """
        wanted = self.wanted
        words = (
            "git",
            "lfs",
            wanted.operation,
            str(asked.destination),
            wanted.oid,
            str(wanted.size),
        )
        return {
            "operation": shorten(Operation(words).line),
            "destination": shorten(url_of(asked)),
            "service": "git-lfs",
            "bytes" if wanted.operation == "upload" else "received": self.bytes,
        }


Sink = Callable[[bytes], Awaitable[None]]
T = TypeVar("T")


class _Server(msgspec.Struct, frozen=True):
    """A server in use, and why the grant must name its host (None if it need not)."""

    client: HttpClient
    barrier: str | None


class LfsServer:
    """The LFS server of a remote, and the servers that it names. Its owner must `close` it."""

    def __init__(self, remote: LfsRemote, requester: Requester) -> None:
        self._remote = remote
        self._requester = requester
        self._servers: dict[tuple[str, str], _Server] = {}
        self._api: Action | None = None
        self._account: str | None = None

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.client.close()

    async def find(self, wanted: Wanted) -> Offer:
        """Request one object. Raises Denied and Failed."""
        api = await self._find_api()
        batch = replace(api.href, target=f"{api.href.target.rstrip('/')}/objects/batch")
        action = replace(api, href=batch)
        status, data = await self._post(action, compose_batch(wanted))
        if not _is_good(status):
            said = read_message(data)
            shown = said and not self._is_exposed(action, said)
            raise _answered(action, status, f": {quote(said, limit=_MAX_SHOWN)}" if shown else "")
        try:
            answer = read_batch(data, wanted)
        except RemoteError as error:
            raise Failed(error.problem, hint=TRY_AGAIN) from error
        if not isinstance(answer, Refusal):
            return answer
        if self._is_exposed(action, answer.said):
            raise broken("it repeats what the server was shown")
        said = quote(answer.said, limit=_MAX_SHOWN)
        raise Failed(f"the server has this to say: {said} ({answer.code})", hint=TRY_AGAIN)

    async def download(self, action: Action, wanted: Wanted, take: Sink) -> None:
        """Download an object; `take` gets it piece by piece. Raises Denied and Failed."""
        for _ in range(_MAX_REDIRECTS + 1):
            request = self._request("GET", action, ("Accept", "*/*"))
            read = partial(self._read_object, action, wanted, take)
            location = await self._ask(action, request, read)
            if location is None:
                return
            action = self._follow(action, location)
        raise Failed("the LFS server sends on too often", hint=TRY_AGAIN)

    async def upload(self, action: Action, wanted: Wanted, body: Body) -> None:
        """Upload an object with the content of `body`. Raises Denied, Failed, and what `body`
        raises.
        """
        request = self._request(
            "PUT",
            action,
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(wanted.size)),
            body=body if wanted.size else b"",
        )
        await self._ask(action, request, partial(self._read_end, action))

    async def verify(self, action: Action, wanted: Wanted) -> None:
        """Report a finished upload to the server. Raises Denied and Failed."""
        status, _ = await self._post(action, compose_verification(wanted))
        if not _is_good(status):
            raise _answered(action, status)

    async def _find_api(self) -> Action:
        if self._api is None:
            remote = self._remote
            if remote.api is not None:
                self._api = self._begin(remote.api)
            else:
                assert remote.login is not None  # noqa: S101 - it is one of the two
                self._api = await self._log_in(remote.login)
        return self._api

    def _begin(self, api: UrlRemote) -> Action:
        """The API of an admitted https remote."""
        there = api.destination
        target = encode_path(self._remote.wanted.api_path)
        href = Href(scheme=there.scheme, host=there.host, port=there.port, target=target)
        self._note(href, api.origin, api.barrier)
        return Action(href=href)

    async def _log_in(self, login: SshRemote) -> Action:
        """Ask the remote for the URL and token of its API (git-lfs-authenticate)."""
        host = quote(login.asked.destination.host)
        status, said = await self._requester.run_program(login.program, login.argv)
        if status != 0:
            raise Failed(
                f"{host} does not say where its large files are (git-lfs-authenticate ended with "
                f"{status})",
                hint="a person on the host can see why: ssh HOST git-lfs-authenticate PATH "
                f"{self._remote.wanted.operation}",
            )
        try:
            return read_login(said)
        except RemoteError as error:
            raise Failed(f"{host}: {error.problem}", hint=TRY_AGAIN) from error

    async def _post(self, action: Action, body: bytes) -> tuple[int, bytes]:
        """Post JSON; returns status and body. Sends the human's credential if one is demanded."""
        while True:
            request = self._request(
                "POST",
                action,
                ("Accept", _JSON),
                ("Content-Type", _JSON),
                ("Content-Length", str(len(body))),
                body=body,
            )
            status, data = await self._ask(action, request, _read_json)
            if status != HTTPStatus.UNAUTHORIZED:
                return status, data
            self._account = await self._find_account(action)

    async def _find_account(self, action: Action) -> str:
        """Find the human's credential for the API, which demands one."""
        api = self._remote.api
        if api is None or not self._takes_account(action) or self._account:
            raise _not_taken(action)
        return await find_authorization(api.destination, api.git, self._requester)

    def _request(
        self, method: str, action: Action, *headers: tuple[str, str], body: bytes | Body = b""
    ) -> Request:
        own = (
            ("Host", action.href.authority),
            ("User-Agent", _AGENT),
            ("Accept-Encoding", "identity"),
            *headers,
        )
        given = {name.lower() for name, _ in action.headers}
        account = self._account_for(action)
        return Request(
            method=method,
            target=action.href.target,
            headers=(
                *(each for each in own if each[0].lower() not in given),
                *action.headers,
                *(() if account is None else (("Authorization", account),)),
            ),
            body=body,
        )

    def _account_for(self, action: Action) -> str | None:
        """The API's credential, for requests to the API that have none of their own."""
        if self._api is None or not self._takes_account(action):
            return None
        named = (value for name, value in self._api.headers if name.lower() == "authorization")
        return self._account or next(named, None)

    def _takes_account(self, action: Action) -> bool:
        """Whether a request gets the API's credential: one below its repository.

        Otherwise an answer that an agent wrote itself could use the credential elsewhere.
        """
        there = action.href.destination
        if self._api is None or there is None or _key(action.href) != _key(self._api.href):
            return False
        scope = self._api.href.target.removesuffix("/info/lfs").removesuffix(".git")
        rest = there.path.removeprefix(scope)
        is_below = rest != there.path and rest.removeprefix(".git").startswith("/")
        return is_below and not _has_account(action)

    async def _ask(
        self, action: Action, request: Request, read: Callable[[Answer], Awaitable[T]]
    ) -> T:
        href = action.href
        server = self._servers.get(_key(href))
        if server is None:
            path = href.target.partition("?")[0]
            git = self._remote.git
            found = await find_origin(href.scheme, href.host, href.port, path, git, self._requester)
            await self._make_room()
            server = self._note(href, *found)
        self._confine(href, server.barrier)
        return await server.client.exchange(request, read)

    def _note(self, href: Href, origin: Origin, barrier: str | None) -> _Server:
        client = HttpClient(
            partial(connect, origin, self._requester.lookups), self._requester.turns
        )
        server = self._servers[_key(href)] = _Server(client, barrier)
        return server

    async def _make_room(self) -> None:
        """Close the oldest of the other servers if there are too many."""
        api = None if self._api is None else _key(self._api.href)
        others = [key for key in self._servers if key != api]
        for key in others[: max(0, len(others) + 1 - _MAX_OTHERS)]:
            await self._servers.pop(key).client.close()

    def _confine(self, href: Href, barrier: str | None) -> None:
        """Raise Denied for a server that the grant must name and does not."""
        why = barrier or (None if href.scheme == "https" else "is reached without TLS")
        if why is None or self._is_remote(href):
            return
        grant = self._requester.generation.agent.profile.git
        there = href.destination
        place = None if there is None else find_place((*grant.push, *grant.fetch), there)
        if place is None or not place.is_literal:
            line = f"{href.scheme}://{href.authority}/**"
            raise Denied(
                f"the LFS server names {quote(href.host)}, which {why}, and is not named in the "
                "grant of this agent",
                layer="broker",
                rule="git.fetch",
                hint="a person on the host can name it in [git] of its airlock.toml: "
                f'fetch = ["{line}"]{AND_RELOAD}',
            )

    def _is_remote(self, href: Href) -> bool:
        """Whether the URL is at the remote itself, which the grant names."""
        place, there = self._remote.place, self._remote.wanted.asked.destination
        if place is None or not place.is_literal or href.host != there.host:
            return False
        if there.scheme == "ssh":
            return href.scheme == "https"
        return (href.scheme, href.port) == (there.scheme, there.port)

    async def _read_end(self, action: Action, answer: Answer) -> None:
        _expect_good(action, answer)
        await answer.drop()

    async def _read_object(
        self, action: Action, wanted: Wanted, take: Sink, answer: Answer
    ) -> str | None:
        """Forward an object; returns the target of a redirect, if it is one."""
        if answer.status in _REDIRECTS:
            await answer.drop()
            return answer.headers.get("location", "")
        _expect_good(action, answer)
        left = wanted.size
        while piece := await answer.read():
            left -= len(piece)
            if left < 0:
                break
            await take(piece)
        if left:
            raise broken(f"it has not the {wanted.size} bytes of the object")
        return None

    def _follow(self, action: Action, location: str) -> Action:
        """Follow a redirect; another server does not get this server's headers."""
        try:
            href = read_href(urljoin(str(action.href), location))
        except (RemoteError, ValueError) as error:
            raise broken("it sends on to what is no URL of https") from error
        headers = action.headers if _key(href) == _key(action.href) else ()
        return Action(href=href, headers=headers)

    def _is_exposed(self, action: Action, said: str) -> bool:
        """Whether a message contains something secret that the API received."""
        values = [value for _, value in action.headers]
        values += [account] if (account := self._account_for(action)) else []
        secrets = {word for value in values for word in list_secrets(value)}
        if self._remote.login is not None:
            # The remote chose the URL, of which the agent knows only the repository.
            known = self._remote.wanted.asked.destination.path
            parts = {*re.split("[/?&=]", action.href.target)}
            parts |= {unquote(part) for part in parts}
            secrets |= {part for part in parts if part.removesuffix(".git") not in known}
        return Search(*filter(None, secrets)).is_in(b"", said.encode())


def _key(href: Href) -> tuple[str, str]:
    return href.scheme, href.authority


def _has_account(action: Action) -> bool:
    return any(name.lower() == "authorization" for name, _ in action.headers)


async def _read_json(answer: Answer) -> tuple[int, bytes]:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        await answer.drop()
        return answer.status, b""
    return answer.status, await _read_all(answer)


async def _read_all(answer: Answer) -> bytes:
    said = bytearray()
    while piece := await answer.read():
        said += piece
        if len(said) > _MAX_ANSWER:
            raise broken("it is too long for one about a large file")
    return bytes(said)


def _is_good(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _expect_good(action: Action, answer: Answer) -> None:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise _not_taken(action)
    if not _is_good(answer.status):
        raise _answered(action, answer.status)


def _answered(action: Action, status: int, said: str = "") -> Failed:
    return Failed(
        f"the LFS server at {quote(action.href.host)} answered {status}{said}",
        hint="a person on the host can see whether the account may do that there",
    )


def _not_taken(action: Action) -> Failed:
    return Failed(
        f"the LFS server at {quote(action.href.host)} does not take the account or token that it "
        "was shown",
        hint="a person on the host can see whether that is still good: git lfs fetch",
    )


_MAX_LINE = 256


class LfsConversation:
    """Relays one LFS conversation. `tell` gets the outcome of each object."""

    def __init__(self, remote: LfsRemote, requester: Requester, *, tell: Report) -> None:
        self._remote = remote
        self._requester = requester
        self._tell = tell
        self._approval: TransferApproval | None = None

    async def run(self, streams: Streams, emit: Emit) -> Ended:
        """Serve the agent until EOF; `emit` gets text for stderr.

        Raises Denied for malformed input.
        """
        said = _AgentReader(streams)
        server = LfsServer(self._remote, self._requester)
        try:
            while (line := await said.read_line()) is not None:
                wanted = read_wanted(line)
                if wanted.operation != self._remote.wanted.operation:
                    raise RemoteError("the agent of Git LFS asks for something else", rule="lfs")
                await self._serve(wanted, server, said, streams, emit)
                if not said.is_at_line:
                    break
        except RemoteError as error:
            raise refuse_words(error) from error
        except OSError:
            # The agent has closed its end.
            return Ended(1, None)
        finally:
            await server.close()
        return Ended(0, None)

    async def _serve(
        self, wanted: Wanted, server: LfsServer, said: "_AgentReader", streams: Streams, emit: Emit
    ) -> None:
        """Serve one object, and report its outcome to the agent and to `tell`."""
        count = 0
        is_done = False
        error: AirlockError | None = None

        async def pass_on(piece: bytes) -> None:
            nonlocal count
            await streams.write(b"data %d\n" % len(piece) + piece)
            count += len(piece)

        async def read() -> bytes:
            nonlocal count
            piece = await said.read()
            count += len(piece)
            return piece

        try:
            if self._requester.has_approvals or self._approval is not None:
                await self._await_approval(wanted, emit)
            # The grant may have changed since the conversation began.
            find_granted(self._remote.wanted.asked, self._requester.current)
            offer = await server.find(wanted)
            transfer = offer.transfer
            if transfer is not None and wanted.operation == "download":
                await server.download(transfer, wanted, pass_on)
            elif transfer is not None:
                said.expect(wanted.size)
                await streams.write(b"send\n")
                await server.upload(transfer, wanted, read)
                if not said.is_at_line:
                    raise broken("it came before the whole object was sent")
                if offer.verify is not None:
                    await server.verify(offer.verify, wanted)
            is_done = True
        except AirlockError as fault:
            error = fault
        finally:
            outcome = LfsOutcome(wanted=wanted, bytes=count, is_done=is_done, error=error)
            outcome.report(self._remote.wanted.asked, self._tell)
        await streams.write(b"done\n" if error is None else _compose(error))

    async def _await_approval(self, wanted: Wanted, emit: Emit) -> None:
        if self._approval is None:
            from airlock_daemon.boundary.brokers.git.approval import (  # noqa: PLC0415 - few need it
                TransferApproval,
            )

            self._approval = TransferApproval(self._remote.wanted.asked, self._requester)
        await self._approval.require(wanted, emit)


class _AgentReader:
    """Reads the agent's lines and the objects after them."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._ahead = b""
        self._left = 0

    @property
    def is_at_line(self) -> bool:
        """Whether a line comes next."""
        return self._left == 0

    async def read_line(self) -> bytes | None:
        """Read the next line without its newline; None at EOF. Raises RemoteError."""
        while b"\n" not in self._ahead:
            data = await self._streams.read()
            if not data and not self._ahead:
                return None
            self._ahead += data
            if not data or len(self._ahead) > _MAX_LINE:
                raise RemoteError("the agent of Git LFS says no line", rule="lfs")
        line, _, self._ahead = self._ahead.partition(b"\n")
        return line

    def expect(self, size: int) -> None:
        """Expect `size` bytes of an object next."""
        self._left = size

    async def read(self) -> bytes:
        """Read the object's next piece, b"" at its end. Raises RemoteError at an early EOF."""
        if self._left == 0:
            return b""
        data = self._ahead or await self._streams.read()
        if not data:
            raise RemoteError("the agent of Git LFS ended in the middle of an object", rule="lfs")
        piece, self._ahead = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return piece


def _compose(error: AirlockError) -> bytes:
    said = f"airlock: {error.message}; {error.hint}".encode()
    return b"error %d\n" % len(said) + said
