"""The relay of one boxed command: over it, its tools reach brokers as separate clients."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.connection.descriptors import Closer, receive
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.serving.audit.record import Kind, Outcome
from airlock_daemon.serving.request.job import Allowed, decide
from airlock_daemon.serving.request.recording import RECORDS, Recording
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.serving.session import Session
from airlock_modules import GIT_REMOTE, Grant
from airlock_wire import Request, quote

# The most connections of one relay at a time, and per second. Others wait in it.
AT_ONCE = 16
PER_S = 50


class Origin:
    """The boxed command that requests over a relay come from.

    `request` is its id in the log, `commands` those that its module lets it request, and `peer` its
    client. Nothing sent over the relay can change them.
    """

    def __init__(self, request: str | None, commands: tuple[str, ...], peer: Peer) -> None:
        self.request = request
        self.commands = commands
        self.peer = peer
        self._left = RECORDS

    def spend_record(self) -> bool:
        """Whether another record of it may be written; counts it."""
        self._left -= 1
        return self._left >= 0

    def record(
        self, shared: DaemonState, session: Session, request: Request, profile: str
    ) -> "RelayedRecording":
        """Begin the recording of a request over the relay; `profile` is the agent's name."""
        return RelayedRecording(shared, session, request, profile, self)

    def decide(self, grant: Grant, request: Request) -> Allowed:
        """As `decide`, for a request over a relay, which accepts `commands` only.

        The profile must grant them; for git-remote git does. The rules of git-remote apply even if
        only git is granted.
        """
        allowed = None
        if request.command in self.commands:
            # A reload may have revoked it while the box runs.
            if not grant.grants_relayed(request.command):
                if request.command != GIT_REMOTE:
                    # The evaluator refuses it by the profile.
                    return decide(grant, request)
                raise Denied(
                    "what runs in this box may not use git's remotes: the profile of this agent "
                    f"grants neither git nor {GIT_REMOTE}",
                    layer="profile",
                    rule="commands",
                    hint=f'a person on the host can add "{GIT_REMOTE}" to commands in its '
                    f"airlock.toml{AND_RELOAD}",
                )
            allowed = decide(replace(grant, commands=self.commands), request)
        if allowed is None or allowed.module.broker is None:
            raise Denied(
                f"{quote(request.command, limit=80)} is refused: what runs in a box on the host "
                f"may ask for {' and '.join(self.commands)} alone",
                layer="sandbox",
                rule="brokers",
                hint="run it in the container, as a command of its own",
            )
        return allowed


Converse = Callable[[socket.socket, Origin], Awaitable[None]]
"""Serves one connection to its end, like one on the agent's own socket; raises nothing."""


class Relay:
    """Hands out connections while a command runs. Its owner must `close` it."""

    def __init__(
        self, origin: Origin, converse: Converse, *, agent: AgentState, shared: DaemonState
    ) -> None:
        """Make the relay. Raises OSError if no descriptors are left."""
        self._origin = origin
        self._converse = converse
        self._agent = agent
        self._shared = shared
        self._room = trio.Semaphore(AT_ONCE)
        self._due = -1.0
        self._ours, self._theirs = make_relay()

    @property
    def number(self) -> int:
        """The box's descriptor, valid until `hand_over`."""
        return self._theirs.fileno()

    def hand_over(self) -> None:
        """Close our copy of the box's end, so that its closing there ends the relay."""
        self._theirs.close()

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve connections until cancelled, or until the box's end is closed."""
        while True:
            await self._room.acquire()
            connection = await self._connect() if await self._is_asked() else None
            if connection is None:
                # A later request for a connection gets EPIPE and does not wait in vain.
                with suppress(OSError):
                    self._ours.shutdown(socket.SHUT_RDWR)
                return
            nursery.start_soon(self._hold, connection)

    async def _hold(self, connection: socket.socket) -> None:
        try:
            await self._converse(connection, self._origin)
        finally:
            self._room.release()

    async def _is_asked(self) -> bool:
        """Wait for a request for a connection; False if none can be served any more."""
        while not self._agent.closer.is_stuck:
            await self._keep_pace()
            await trio.lowlevel.wait_readable(self._ours)
            await self._agent.turns.take()
            try:
                return receive_bytes(self._ours, self._agent.closer)
            except BlockingIOError:
                pass
            except UnexpectedDescriptors:
                self._count()
            except OSError:
                return False
        return False

    async def _connect(self) -> socket.socket | None:
        """Make a connection and send the box its end; None if that fails."""
        try:
            ours, theirs = make_connection()
        except OSError:
            return None
        with theirs:
            try:
                while True:
                    try:
                        send_connection(self._ours, theirs)
                    except BlockingIOError:
                        await trio.lowlevel.wait_writable(self._ours)
                    else:
                        return ours
            except OSError:
                ours.close()
                return None
            except BaseException:
                ours.close()
                raise

    async def _keep_pace(self) -> None:
        """Wait until the next message may be read; a burst is one second's worth."""
        now = trio.current_time()
        self._due = max(self._due, now - 1) + 1 / PER_S
        if self._due > now:
            await trio.sleep_until(self._due)

    def _count(self) -> None:
        """Count a message with descriptors; it has no client to answer."""
        self._shared.audit.count(
            self._agent.generation.agent.name,
            Kind("invalid", "invalid", "sandbox"),
            {"pid": self._origin.peer.pid, "uid": self._origin.peer.uid},
        )

    def close(self) -> None:
        """Close both ends, and in the background what still waits in them."""
        self._theirs.close()
        self._agent.closer.close((self._ours.detach(),))


class RelayedRecording(Recording):
    """The recording of a request over a relay, with one record: the broker's.

    The relay's command has the records of a request itself.
    """

    def __init__(
        self,
        shared: DaemonState,
        session: Session,
        request: Request,
        profile: str,
        origin: Origin,
    ) -> None:
        """`profile` is the agent's name."""
        super().__init__(shared, session, request, profile)
        self._origin = origin
        self.note(event="broker", request=origin.request)

    def _write_start(self) -> None:
        """Write nothing: the command's own start record covers its relayed requests."""

    def write_broker(
        self, outcome: Outcome, detail: object, *, rule: str | None, reason: str | None
    ) -> None:
        """Write the broker's record, the request's only one."""
        if not self.is_written and self._is_room(outcome, None if rule is None else "broker"):
            super().write_broker(outcome, detail, rule=rule, reason=reason)
        self.is_written = True

    def write(self, outcome: Outcome, reason: str | None = None, **facts: object) -> None:
        """Write how the request ended, unless the broker's record is written."""
        if not self.is_written and not self._is_room(outcome, self._record.layer):
            self.is_written = True
        super().write(outcome, reason, **facts)

    def spend_record(self) -> bool:
        """Spend from the records of the relay's command."""
        return self._origin.spend_record()


# A box may run an agent's code, so the daemon accepts no socket from it. Another holder of a socket
# can configure it (SO_PASSPIDFD makes each read here open a descriptor) and hold its lock, by a
# recvmsg(2) into slow memory.

# The byte that accompanies the descriptor has no meaning.
_WORD = 16
_SAID = b"c"

# The minimum of connections that may wait in the relay: those in flight count against the daemon's
# user (unix(7), ETOOMANYREFS).
_LEAST = 1


class UnexpectedDescriptors(Exception):
    """A message came with descriptors, which are not allowed."""


def make_relay() -> tuple[socket.socket, socket.socket]:
    """Make a relay; returns the daemon's end and the box's. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LEAST)
    return ours, theirs


def receive_bytes(relay: socket.socket, closer: Closer) -> bool:
    """Receive the next message, which requests a connection; False at EOF.

    Raises BlockingIOError if there is none yet, OSError, and UnexpectedDescriptors if it came with
    descriptors, which `closer` closes.
    """
    data, numbers = receive(relay, _WORD)
    if numbers:
        closer.close(numbers)
        raise UnexpectedDescriptors
    return bool(data)


def make_connection() -> tuple[socket.socket, socket.socket]:
    """Return the ends of a new connection: the daemon's, and that for `send_connection`.

    Raises OSError.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def send_connection(relay: socket.socket, end: socket.socket) -> None:
    """Send an end of a connection to the requester in the box.

    Raises BlockingIOError if too many wait there unreceived, and OSError.
    """
    socket.send_fds(relay, [_SAID], [end.fileno()], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
