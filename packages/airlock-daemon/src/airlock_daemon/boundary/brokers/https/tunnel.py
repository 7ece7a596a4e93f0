"""A tool's connection: CONNECT names its destination; it is then refused, spliced, or served as an
API.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
import trio

from airlock_daemon.boundary.brokers.egress.destinations import (
    CONNECTED,
    BadHead,
    Destination,
    Network,
    Routes,
    World,
    read_head,
    refusal,
)
from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.authority import Authority
from airlock_daemon.boundary.brokers.https.conversation import Conversation, Daemon, ServedApi
from airlock_daemon.boundary.brokers.https.messages import Refused, Spliced
from airlock_daemon.boundary.brokers.https.service import Authorities, Service
from airlock_daemon.boundary.brokers.https.splicing import (
    BadHello,
    ClientHello,
    send_final,
    splice,
)
from airlock_daemon.errors import AirlockError, Denied
from airlock_modules.apis import Api
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_daemon.boundary.fairness import TurnSource

_HELLO_S = 15.0
_READ = 1 << 14
_PLACES = "[network] allow of this agent's airlock.toml, or by an API's hosts"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's policy, built from one `Settings`."""

    apis: tuple[ServedApi, ...]
    network: Network
    variables: Mapping[str, str]
    authority: Authority
    authorities: Authorities
    lookups: trio.CapacityLimiter

    def find(self, wanted: Destination) -> ServedApi | None:
        """The API at a destination."""
        return next((e for e in self.apis if e.api.serves(wanted.host, wanted.port)), None)


class _Hosts(msgspec.Struct, frozen=True):
    """Allows only the destinations of one API."""

    api: Api

    def names(self, wanted: Destination) -> bool:
        """Whether the API names the host without a pattern."""
        hosts = (host.strip("[]").lower() for host in self.api.hosts)
        return wanted.port in self.api.ports and wanted.host in hosts

    def covers(self, wanted: Destination) -> bool:
        """Whether the API serves the destination."""
        return self.api.serves(wanted.host, wanted.port)


class Tunnel:
    """One connection; the owner closes `below`."""

    def __init__(
        self,
        below: trio.SocketStream,
        number: int,
        policy: Policy,
        more: Network,
        daemon: Daemon,
        turns: "TurnSource",
    ) -> None:
        """The connection may reach `more` in addition to the policy's network."""
        self._below = below
        self._more = more
        self.number = number
        self._policy = policy
        # The latest policy's network.
        self._network = policy.network
        self._daemon = daemon
        self._turns = turns
        self._wanted: Destination | None = None
        # Scope of a spliced or upgraded connection.
        self._opaque = trio.CancelScope()

    def follow(self, policy: Policy) -> None:
        """Adopt a new policy; ends an opaque connection that it does not grant."""
        self._network = policy.network
        wanted = self._wanted
        if wanted is None:
            self._policy = policy
            return
        before, now = self._policy.find(wanted), policy.find(wanted)
        if before is None and now is None:
            self._end_unless_granted(wanted)
        elif before is None or now is None or before.api.fingerprint != now.api.fingerprint:
            self._opaque.cancel()

    def narrow(self, more: Network) -> None:
        """As `follow`, with a new `more`."""
        self._more = more
        if self._wanted is not None and self._policy.find(self._wanted) is None:
            self._end_unless_granted(self._wanted)

    def _end_unless_granted(self, wanted: Destination) -> None:
        network = self._network.join(self._more)
        if not (network.names(wanted) or network.covers(wanted)):
            self._opaque.cancel()

    async def run(self) -> None:
        """Serve the connection to its end. Raises BrokenResourceError if the tool disconnects."""
        try:
            asked = await read_head(self._below, self._turns)
        except BadHead as bad:
            await self._refuse(None, bad, bad.status)
            return
        if asked is None:
            return
        wanted, behind = asked
        self._wanted = wanted
        served = self._policy.find(wanted)
        try:
            if served is not None:
                await self._serve(served, wanted, behind)
            else:
                await self._splice(wanted, behind)
        except AirlockError as error:
            is_denied = isinstance(error, Denied)
            status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.BAD_GATEWAY
            await self._refuse(wanted, error, status)

    async def _serve(self, served: ServedApi, wanted: Destination, behind: bytes) -> None:
        """Terminate the tool's TLS, and serve its requests."""
        api = served.api
        await self._below.send_all(CONNECTED)
        context = self._policy.authority.context(wanted.host)
        client = TlsStream(self._below, context, None, early=behind)
        try:
            with trio.fail_after(_HELLO_S):
                await client.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            await self._tell_refused(wanted, "tls", _find_reason(error))
            return
        service = Service(
            api,
            wanted,
            self._make_ways(_Hosts(api), f"hosts of {api.name}, in its module or in [api.NAME]"),
            self._policy.authorities,
        )
        try:
            await Conversation(
                client,
                service,
                self._daemon,
                self._turns,
                served,
                wanted=wanted,
                connection=self.number,
                opaque=self._opaque,
            ).run()
        finally:
            await service.close()

    async def _splice(self, wanted: Destination, behind: bytes) -> None:
        """Splice the connection. Raises Denied and Failed before any byte was forwarded."""
        ways = self._make_ways(self._network.join(self._more), _PLACES)
        server, early = await ways.open(wanted)
        async with server:
            await self._below.send_all(CONNECTED + early)
            if wanted.address is None and not wanted.is_local:
                behind = await self._read_hello(wanted, behind)
                if not behind:
                    return
            sent, received = await splice(
                self._below, server, behind, b"", self._turns, self._opaque
            )
            spliced = Spliced(
                connection=self.number,
                host=wanted.host,
                port=wanted.port,
                sent=sent,
                received=received,
            )
            await self._daemon.report(spliced)

    async def _read_hello(self, wanted: Destination, data: bytes) -> bytes:
        """Read the tool's ClientHello; b"" unless it is for the host of CONNECT.

        Many names share an address: a handshake for another name is reported, not forwarded.
        """
        try:
            with trio.fail_after(_HELLO_S):
                hello = ClientHello()
                while not hello.feed(data):
                    data = await self._below.receive_some(_READ)
                    if not data:
                        return b""
            if hello.name == wanted.host:
                return bytes(hello.data)
            reason = f"it is for {quote(hello.name or '')}, and CONNECT for {wanted.host}"
        except BadHello as bad:
            reason = str(bad)
        except trio.TooSlowError:
            reason = f"nothing came in {_HELLO_S:g} s"
        await self._tell_refused(wanted, "name", reason)
        return b""

    def _make_ways(self, granted: _Hosts | Network, setting: str) -> Routes:
        world = World(
            variables=self._policy.variables, lookups=self._policy.lookups, setting=setting
        )
        return Routes(granted, world)

    async def _refuse(
        self, wanted: Destination | None, error: AirlockError, status: HTTPStatus
    ) -> None:
        rule = (error.rule or "") if isinstance(error, Denied) else "unreachable"
        await self._tell_refused(wanted, rule, error.message)
        await send_final(self._below, refusal(status, f"{error.message}; {error.hint}"))

    async def _tell_refused(self, wanted: Destination | None, rule: str, reason: str) -> None:
        await self._daemon.report(
            Refused(
                connection=self.number,
                host=wanted.host if wanted is not None else "",
                port=wanted.port if wanted is not None else 0,
                rule=rule,
                reason=reason,
            )
        )


def _find_reason(error: BaseException) -> str:
    """Why TLS failed: the tool may not trust the agent's CA."""
    if isinstance(error, trio.TooSlowError):
        return f"TLS did not begin in {_HELLO_S:g} s"
    reason = getattr(error.__cause__, "reason", None) or "the tool ended it"
    if reason == "CALLBACK_FAILED":
        return "TLS is for another name than CONNECT"
    return f"there is no TLS: {reason}"
