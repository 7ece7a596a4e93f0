"""The connection to a service: verified TLS, kept until a request has a body, or the client ends.

A service that does not read a body would take it for the next request: with the credential of that
one, or that of the connection. So the first request with a body is the last of its connection. The
next connection is opened while the tool pauses.
"""

import math
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress

import h11
import trio

from airlock_daemon.boundary.brokers.egress.destinations import Destination, Routes
from airlock_daemon.boundary.brokers.http import TlsStream, Trust, has_pending
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.path_text import expand_home
from airlock_daemon.platform.system import KEEP_IDLE, private_file
from airlock_daemon.threads import run_in_thread
from airlock_modules.apis import MAX_HEAD, Api
from airlock_wire import quote

_HANDSHAKE_S = 15.0
# A silently dead service is detected after about two minutes (tcp(7)).
_KEEPALIVE = ((KEEP_IDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class Authorities:
    """The trusted CAs: the human's, or those that an API names."""

    def __init__(self, variables: Mapping[str, str], threads: trio.CapacityLimiter) -> None:
        """`variables` are the daemon's; loading CAs takes a thread of `threads`."""
        self._variables = variables
        self._threads = threads
        self._contexts: dict[Trust, ssl.SSLContext] = {}

    async def context(self, api: Api, certificate: str = "") -> ssl.SSLContext:
        """A client's TLS context for an API. Raises Failed.

        One with a `certificate` and its key is created each time and not cached.
        """
        trust = Trust.read({}, self._variables)
        if api.ca_file is not None:
            file = expand_home(api.ca_file, self._variables.get("HOME", "/"))
            trust = Trust(file=file, directory=None, is_waived=False)
        elif api.ca is not None:
            trust = Trust(file=None, directory=None, is_waived=False, text=api.ca)
        if trust in self._contexts and not certificate:
            return self._contexts[trust]
        load = trust.make_context
        try:
            context = await run_in_thread(load, limiter=self._threads)
        except Failed as error:
            raise Failed(error.message, hint=_advise_ca(api)) from error
        if certificate:
            _load_certificate(context, certificate, api)
        else:
            self._contexts[trust] = context
        return context


class Service:
    """The connection to one host of an API. Its owner must `close` it.

    `stream` and `talk` are valid from one `prepare` to the next.
    """

    def __init__(
        self, api: Api, wanted: Destination, ways: Routes, authorities: Authorities
    ) -> None:
        """`ways` lead only to the host and port `wanted`."""
        self._api = api
        self._wanted = wanted
        self._ways = ways
        self._authorities = authorities
        self._stream: TlsStream | None = None
        self._talk = _begin_talk()
        self._idle_since = math.inf
        # The certificate for the next connection, and that of the current one.
        self._certificate = ""
        self._presented = ""

    def present(self, certificate: str) -> None:
        """Use a certificate, with its key in PEM, from the next `prepare` on; "" for none."""
        self._certificate = certificate

    @property
    def stream(self) -> TlsStream:
        """The connection."""
        assert self._stream is not None  # noqa: S101 - for mypy
        return self._stream

    @property
    def talk(self) -> h11.Connection:
        """The HTTP state of the connection."""
        return self._talk

    async def prepare(self, *, fresh: bool = False, max_idle_s: float = math.inf) -> bool:
        """Connect unless an idle connection can be reused; returns whether one is, which may end.

        Raises Failed and Denied if the service cannot be reached or authenticated.
        """
        is_old = trio.current_time() - self._idle_since > max_idle_s
        self._idle_since = math.inf
        if not (fresh or is_old) and self._is_reusable():
            if self._talk.our_state is h11.DONE:
                self._talk.start_next_cycle()
            return True
        await self.close()
        self._stream = await self._connect()
        self._talk = _begin_talk()
        return False

    async def connect_ahead(self) -> None:
        """Connect for the next request if it will need that, and note that the connection is idle.

        If that fails, the next request tries again. A certificate is presented only for a request
        that was judged.
        """
        if not self._certificate and not self._is_reusable():
            with suppress(AirlockError):
                await self.prepare()
        self._idle_since = trio.current_time()

    def _is_reusable(self) -> bool:
        talk = self._talk
        # Bytes after an answer could be taken for the answer to the next request.
        is_idle = talk.our_state is talk.their_state and not talk.trailing_data[0]
        is_idle = is_idle and talk.our_state in (h11.DONE, h11.IDLE)
        is_idle = is_idle and self._presented == self._certificate
        return self._stream is not None and is_idle and not has_pending(self._stream)

    def end_answer(self, behind: bytes) -> None:
        """Note the end of an answer of which `talk` parsed only the head.

        The connection is not reused if bytes `behind` the answer arrived, the head forbids it, or
        the request was not sent completely.
        """
        if self._talk.our_state is h11.DONE and not behind:
            self._talk = _begin_talk()

    async def close(self) -> None:
        """Close the connection without TLS's close_notify."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _connect(self) -> TlsStream:
        context = await self._authorities.context(self._api, self._certificate)
        self._presented = self._certificate
        below, early = await self._ways.open(self._wanted)
        try:
            for option, value in _KEEPALIVE:
                below.socket.setsockopt(socket.IPPROTO_TCP, option, value)
            below.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            stream = TlsStream(below, context, self._wanted.host, early=early)
            with trio.fail_after(_HANDSHAKE_S):
                await stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            await trio.aclose_forcefully(below)
            raise self._no_handshake(error.__cause__) from error
        except BaseException:
            await trio.aclose_forcefully(below)
            raise
        return stream

    def _no_handshake(self, cause: BaseException | None) -> Failed:
        host = quote(str(self._wanted))
        if isinstance(cause, ssl.SSLCertVerificationError):
            problem = f"the certificate of {host} is not accepted: {cause.verify_message}"
            return Failed(problem, hint=_advise_ca(self._api))
        why = f": {cause.reason}" if isinstance(cause, ssl.SSLError) and cause.reason else ""
        return Failed(
            f"{host} does not speak TLS{why}",
            hint="a person on the host can see what it answers there: curl -v",
        )


def _begin_talk() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)


def _load_certificate(context: ssl.SSLContext, certificate: str, api: Api) -> None:
    """Load a client certificate; the library reads only files, so use one in memory."""
    with private_file("client", certificate.encode()) as path:
        try:
            # For an encrypted key the library would prompt on a terminal.
            context.load_cert_chain(path, password="")
        except OSError:
            raise Failed(
                f"the certificate of {api.name} and its key do not belong together",
                hint=f"a person on the host can look at the credential of {api.module}",
            ) from None


def _advise_ca(api: Api) -> str:
    if api.is_cluster:
        return "a person on the host can mend certificate-authority in the kubeconfig"
    place = f"ca of {api.name}, in its module or in [api.NAME], and in "
    return f"a person on the host can name the authorities in {place}SSL_CERT_FILE of the daemon"
