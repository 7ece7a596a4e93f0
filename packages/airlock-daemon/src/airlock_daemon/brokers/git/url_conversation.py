"""A conversation with a remote over HTTP, from the words of git's remote helper to its end."""

from contextlib import suppress

from msgspec.structs import replace

from airlock_daemon.brokers.git.answering import Passing
from airlock_daemon.brokers.git.errand import UrlErrand
from airlock_daemon.brokers.git.outcome import Outcome, Tell, judged, listed
from airlock_daemon.brokers.git.push import Held, cannot_tell, judge, read_list
from airlock_daemon.brokers.git.rules import refuse_words
from airlock_daemon.brokers.git.smart_http import RefusedByServer, SmartHttp
from airlock_daemon.brokers.git.streams import Streams
from airlock_daemon.brokers.git.url_admission import admit_service
from airlock_daemon.brokers.http.answer import TRY_AGAIN
from airlock_daemon.brokers.http.client import Body
from airlock_daemon.brokers.requester import Requester
from airlock_daemon.command.launch import Ended
from airlock_daemon.command.stdio import Emit
from airlock_daemon.errors import Denied, Failed
from airlock_modules import (
    AdvertisementReader,
    FetchRequestReader,
    HelperReader,
    RemoteError,
    RemoteRequest,
    answer_helper,
    compose_report,
)

# Bytes up to which a request is held and sent whole, as git does it (http.postBuffer).
WHOLE = 1 << 20
# What git's own helper ends with where a remote has answered with an error.
_REFUSED = 128


class UrlConversation:
    """One errand as the daemon holds it.

    `tell` gets what became of it, once, if the client has asked for a service that may be had, with
    whether the profile names the place.
    """

    def __init__(
        self,
        errand: UrlErrand,
        requester: Requester,
        *,
        tell: Tell,
    ) -> None:
        self._errand = errand
        self._requester = requester
        self._tell = tell
        self._outcome = Outcome(decision="allowed")

    async def hold(self, streams: Streams, emit: Emit) -> Ended:
        """Hold it; `emit` gets what is said on stderr.

        Raises Denied for what is not granted and for what git does not say, Failed where the remote
        is not reached or cannot be understood.
        """
        try:
            asked = await self._read_service(streams)
            if asked is None:
                return Ended(0, None)
            is_pinned = admit_service(self._errand, asked, self._requester.generation)
            try:
                return await self._serve(asked, streams, emit)
            except (RemoteError, Denied):
                self._outcome = replace(self._outcome, decision="denied")
                raise
            finally:
                self._tell(asked, self._outcome, is_pinned)
        except RemoteError as error:
            raise refuse_words(error) from error

    async def _read_service(self, streams: Streams) -> RemoteRequest | None:
        """What the client wants to be connected with, None for nothing."""
        reader = HelperReader()
        while data := await streams.read():
            reader.feed(data)
            while (command := reader.take()) is not None:
                if command in ("git-upload-pack", "git-receive-pack"):
                    if reader.rest:
                        raise RemoteError("git says nothing before it is connected", rule="helper")
                    return RemoteRequest(destination=self._errand.destination, service=command)
                if command == "end":
                    return None
                with suppress(OSError):
                    await streams.write(answer_helper(command))
        return None

    async def _serve(self, asked: RemoteRequest, streams: Streams, emit: Emit) -> Ended:
        server = SmartHttp(self._errand, asked, self._requester)
        try:
            await self._pass_refs(asked, server, streams)
            if asked.is_push:
                await self._push(asked, server, streams)
            else:
                await self._fetch(server, streams)
        except RefusedByServer as error:
            await emit("stderr", error.text.encode())
            return Ended(_REFUSED, None)
        except OSError:
            # The client does not listen any more.
            return Ended(_REFUSED, None)
        finally:
            await server.close()
        return Ended(0, None)

    async def _pass_refs(self, asked: RemoteRequest, server: SmartHttp, streams: Streams) -> None:
        reader = AdvertisementReader(asked.service)
        passing = Passing(streams.write)
        is_connected = False

        async def take(piece: bytes) -> None:
            nonlocal is_connected
            try:
                data = reader.feed(piece)
            except RemoteError as error:
                raise _explain(error) from error
            if data and not is_connected:
                data = answer_helper(asked.service) + data
                is_connected = True
            if data:
                await passing.take(data)

        await server.get_refs(take)
        try:
            reader.end()
        except RemoteError as error:
            raise _explain(error) from error
        # Behind an error git waits for nothing.
        if not reader.is_error:
            await passing.end()

    async def _fetch(self, server: SmartHttp, streams: Streams) -> None:
        """Send one request after the other, until the client says or shows that it has all."""
        reader = FetchRequestReader()
        received = 0
        while True:
            held = Held(self._requester.gate)
            passing = Passing(streams.write)
            try:
                body = await _gather(_until_flush(reader, streams), held)
                if reader.is_over or not body:
                    return
                await server.post(body, passing.take)
                await passing.end()
            finally:
                received += passing.received
                self._outcome = replace(self._outcome, received=received)
                held.release()

    async def _push(self, asked: RemoteRequest, server: SmartHttp, streams: Streams) -> None:
        held = Held(self._requester.gate)
        try:
            push, said = await read_list(streams.read, held)
            if push is None or not push.updates:
                return
            self._outcome = listed(push)
            refusals = await judge(push, asked, self._requester)
            self._outcome = judged(self._outcome, refusals)
            if refusals:
                report = compose_report(push, refusals)
                if push.brings_pack:
                    await streams.drop()
                if not report:
                    raise cannot_tell(refusals[0])
                await streams.write(report)
                return
            rest = streams.read if push.brings_pack else _nothing
            body = await _gather(_after(said, rest), held)
            await server.post(self._count(body), streams.write)
        finally:
            held.release()

    def _count(self, body: bytes | Body) -> bytes | Body:
        """Note what is sent of a push."""
        if isinstance(body, bytes):
            self._outcome = replace(self._outcome, sent=len(body))
            return body
        more = body

        async def read() -> bytes:
            data = await more()
            self._outcome = replace(self._outcome, sent=self._outcome.sent + len(data))
            return data

        return read


async def _nothing() -> bytes:
    return b""


def _after(first: bytes, more: Body) -> Body:
    """What gives `first`, and then what `more` gives."""
    left = [first]

    async def read() -> bytes:
        return left.pop() if left else await more()

    return read


def _until_flush(reader: FetchRequestReader, streams: Streams) -> Body:
    """What gives one request of a client; where it ends in the middle of one, RemoteError."""
    is_whole = False

    async def read() -> bytes:
        nonlocal is_whole
        while not is_whole:
            taken, is_whole = reader.take()
            if taken:
                return taken
            data = await streams.read()
            if not data:
                reader.end()
                is_whole = True
            reader.feed(data)
        return b""

    return read


async def _gather(read: Body, held: Held) -> bytes | Body:
    """All that is read, if it is little; else what gives that, and then the rest."""
    said = bytearray()
    while len(said) <= WHOLE:
        data = await read()
        if not data:
            return bytes(said)
        held.add(len(data))
        said += data
    return _after(bytes(said), read)


def _explain(error: RemoteError) -> Denied | Failed:
    """The error for a server's answer that is no answer for git."""
    if error.rule == "version":
        return Denied(
            error.problem,
            layer="broker",
            rule=error.rule,
            hint="use a remote like git@HOST:PATH, if the server has ssh",
        )
    return Failed(error.problem, hint=TRY_AGAIN)
