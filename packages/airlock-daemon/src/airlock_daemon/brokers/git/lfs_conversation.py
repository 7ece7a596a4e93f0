"""A conversation with the transfer agent of Git LFS: one object after the other.

The agent, which is the shim in the container, says a line for each object. Where its content comes
from and goes to is the daemon's to know:

    download OID SIZE     data N, and N bytes; as often as needed; then done
    upload OID SIZE       done, where the server has it; else send, for which it sends SIZE bytes,
                          and then done
    either                error N, and N bytes of text, in the place of done

An upload that fails in its middle ends the conversation: what is left of it is not read.
"""

from collections.abc import Callable

from airlock_daemon.brokers.git.errand import LfsErrand
from airlock_daemon.brokers.git.lfs_server import LfsServer
from airlock_daemon.brokers.git.outcome import LfsOutcome
from airlock_daemon.brokers.git.rules import find_granted, refuse_words
from airlock_daemon.brokers.git.streams import Streams
from airlock_daemon.brokers.http.answer import broken
from airlock_daemon.brokers.requester import Requester
from airlock_daemon.command.launch import Ended
from airlock_daemon.command.stdio import Emit
from airlock_daemon.errors import AirlockError
from airlock_modules import RemoteError, RemoteRequest
from airlock_modules.remotes.lfs import Wanted, read_wanted

_LONGEST_LINE = 256


class LfsConversation:
    """One errand as the daemon holds it. `tell` gets what became of each object."""

    def __init__(
        self,
        errand: LfsErrand,
        requester: Requester,
        *,
        tell: Callable[[RemoteRequest, LfsOutcome], None],
    ) -> None:
        self._errand = errand
        self._requester = requester
        self._tell = tell

    async def hold(self, streams: Streams, emit: Emit) -> Ended:
        """Hold it to the end of what the agent says. Raises Denied for what no agent says."""
        del emit
        said = _Said(streams)
        server = LfsServer(self._errand, self._requester)
        try:
            while (line := await said.read_line()) is not None:
                wanted = read_wanted(line)
                if wanted.operation != self._errand.wanted.operation:
                    raise RemoteError("the agent of Git LFS asks for something else", rule="lfs")
                await self._serve(wanted, server, said, streams)
                if not said.is_at_line:
                    break
        except RemoteError as error:
            raise refuse_words(error) from error
        except OSError:
            # The agent does not listen any more.
            return Ended(1, None)
        finally:
            await server.close()
        return Ended(0, None)

    async def _serve(
        self, wanted: Wanted, server: LfsServer, said: "_Said", streams: Streams
    ) -> None:
        """Serve one object, and say and tell what became of it."""
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
            # What was granted when the conversation began may not be any more.
            find_granted(self._errand.wanted.asked, self._requester.current)
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
            self._tell(self._errand.wanted.asked, outcome)
        await streams.write(b"done\n" if error is None else _compose(error))


class _Said:
    """What the agent says: lines, and the content of objects behind them."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._ahead = b""
        self._left = 0

    @property
    def is_at_line(self) -> bool:
        """Whether a line comes next."""
        return self._left == 0

    async def read_line(self) -> bytes | None:
        """The next line without its end, None at the end of all. Raises RemoteError."""
        while b"\n" not in self._ahead:
            data = await self._streams.read()
            if not data and not self._ahead:
                return None
            self._ahead += data
            if not data or len(self._ahead) > _LONGEST_LINE:
                raise RemoteError("the agent of Git LFS says no line", rule="lfs")
        line, _, self._ahead = self._ahead.partition(b"\n")
        return line

    def expect(self, size: int) -> None:
        """What comes next is the content of an object."""
        self._left = size

    async def read(self) -> bytes:
        """The next piece of it, b"" at its end. Raises RemoteError where it is cut off."""
        if self._left == 0:
            return b""
        data = self._ahead or await self._streams.read()
        if not data:
            raise RemoteError("the agent of Git LFS ended in the middle of an object", rule="lfs")
        piece, self._ahead = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return piece


def _compose(error: AirlockError) -> bytes:
    text = error.message if error.hint is None else f"{error.message}; {error.hint}"
    said = f"airlock: {text}".encode()
    return b"error %d\n" % len(said) + said
