"""TLS in large pieces: a step of the event loop per record would cost too much.

It uses memory BIOs. In CPython a failed write of one `ssl.SSLSocket` can leave an error that fails
all others in its thread, so one client could end all connections.
"""

import os
import select
import ssl
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import trio

from airlock_daemon.errors import Failed
from airlock_daemon.path_text import expand_home

# TLS record: maximum payload; header of kind, version, length; overhead of TLS 1.3.
_RECORD, _RECORD_HEAD, _RECORD_FRAME = 1 << 14, 5, 22
# Bytes of one read of the socket: mostly whole records.
_TAKEN = 16 * (_RECORD + _RECORD_FRAME)
_RECORD_KINDS = (20, 21, 22, 23)
# Records of one write (IOV_MAX is 1,024 everywhere).
_MAX_RECORDS = 256


class TlsStream(trio.abc.HalfCloseableStream):
    """TLS over a stream, which it owns. One task may send while another one receives.

    It is unusable after an error, and after a cancelled `send_all`. Closing it sends no
    close_notify; `send_eof` does.
    """

    def __init__(
        self,
        below: trio.SocketStream,
        context: ssl.SSLContext,
        host: str | None,
        *,
        early: bytes = b"",
    ) -> None:
        """As a client, require the server's certificate to match `host`; as a server if that is
        None. `early` are bytes already received over `below`.
        """
        self.below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # Received and not fed to the library yet: its own buffers grow and never shrink.
        self._raw, self._at = memoryview(early), 0
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=host is None,
            server_hostname=host,
        )
        self._turn = trio.Lock()
        self._fault: ssl.SSLError | None = None
        # Data that a cancelled `receive_some` had taken.
        self._taken = b""
        self._is_over = False
        # Records that the socket has not taken yet.
        self._unsent: list[bytes | memoryview] = []

    @property
    def has_unread(self) -> bool:
        """Whether received bytes are unread."""
        has_raw = self._at < len(self._raw)
        return bool(self._taken or has_raw or self._incoming.pending or self._tls.pending())

    async def do_handshake(self) -> None:
        """Must be called first. Raises BrokenResourceError, with the reason as its cause."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                if not self._feed():
                    if self._outgoing.pending:
                        await self._flush()
                    await self._fill()
                while self._feed():
                    pass
            except ssl.SSLError as error:
                # Sends the alert with the reason.
                with suppress(trio.BrokenResourceError):
                    await self._flush()
                raise trio.BrokenResourceError from error
            else:
                await self._flush()
                return

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all data. Raises BrokenResourceError."""
        self._encrypt(data)
        await self._flush()

    def send_now(self, data: bytes) -> bool:
        """Send what the socket takes at once; returns whether that was all.

        `send_all`, even of b"", sends the rest. Raises BrokenResourceError.
        """
        self._encrypt(data)
        return not self._turn.locked() and self._send_now()

    async def wait_send_all_might_not_block(self) -> None:
        """As `wait_send_all_might_not_block` of the stream below."""
        await self.below.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at most `max_bytes`, b"" at EOF. Raises BrokenResourceError.

        A close without close_notify counts as EOF: HTTP detects truncation itself.
        """
        has_waited = False
        while True:
            data, is_over = self._take(_TAKEN if max_bytes is None else max_bytes)
            try:
                if self._outgoing.pending:
                    # TLS itself has to answer what was received.
                    await self._flush()
                elif (data or is_over) and not has_waited:
                    await trio.lowlevel.checkpoint()
            except trio.Cancelled:
                self._taken = data + self._taken
                raise
            except trio.BrokenResourceError:
                # A peer that has sent everything may have disconnected.
                if not (data or is_over):
                    raise
            if data or is_over:
                return data
            await self._fill()
            has_waited = True

    def receive_now(self, max_bytes: int) -> bytes | None:
        """As `receive_some`, without waiting; None if nothing is available.

        It is no checkpoint: bulk receivers must take turns.
        """
        data, is_over = self._take(max_bytes)
        if not (data or is_over) and self._fill_now():
            data, is_over = self._take(max_bytes)
        if self._outgoing.pending and not self._turn.locked():
            # TLS itself has to answer what was received. The rest is sent with the next data; a
            # peer that has sent everything may have disconnected.
            with suppress(trio.BrokenResourceError):
                self._send_now()
        return data if data or is_over else None

    async def wait_for_more(self) -> None:
        """Wait until the stream below has more for `receive_now`."""
        await trio.lowlevel.wait_readable(self.below.socket)

    async def send_eof(self) -> None:
        """Send close_notify. Raises BrokenResourceError."""
        # After writing it, unwrap reports unread data as an error.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self.below.aclose()

    def _take(self, limit: int) -> tuple[bytes, bool]:
        """Take at most `limit` available bytes; returns them and whether the stream has ended.

        Data received before an error is returned first.
        """
        if self._taken:
            data, self._taken = self._taken[:limit], self._taken[limit:]
            return data, False
        if self._fault is not None:
            raise trio.BrokenResourceError from self._fault
        pieces: list[bytes] = []
        try:
            while limit > 0 and not self._is_over and self._has_more():
                try:
                    pieces.append(self._tls.read(min(limit, _RECORD)))
                except ssl.SSLWantReadError:
                    if not self._feed():
                        break
                else:
                    limit -= len(pieces[-1])
                    self._is_over = not pieces[-1]
        except ssl.SSLEOFError:
            self._is_over = True
        except ssl.SSLError as error:
            # The library would report EOF at the next call.
            self._fault = error
            if not pieces:
                raise trio.BrokenResourceError from error
        if self._at and len(self._raw) - self._at < _RECORD + _RECORD_FRAME:
            # Copy a partial record, so that it does not keep the large buffer alive.
            self._raw, self._at = memoryview(bytes(self._raw[self._at :])), 0
        return b"".join(pieces), self._is_over

    def _has_more(self) -> bool:
        """Whether the library has something to read: trying costs as much as a short record."""
        has_some = self._incoming.pending or self._tls.pending() or self._incoming.eof
        return bool(has_some) or self._feed()

    def _feed(self) -> bool:
        """Feed the library one received record; returns whether there was a whole one."""
        raw, at = self._raw, self._at
        end = at + _find_size(raw, at)
        if end == at or end > len(raw):
            return False
        self._incoming.write(raw[at:end])
        self._at = end
        return True

    async def _fill(self) -> None:
        if self._fill_now():
            await trio.lowlevel.checkpoint()
        else:
            await self.wait_for_more()
            self._fill_now()

    def _fill_now(self) -> bool:
        """Read the socket; returns whether there were bytes or EOF."""
        try:
            data = os.read(self.below.socket.fileno(), _TAKEN)
        except BlockingIOError:
            return False
        except OSError as error:
            raise trio.BrokenResourceError from error
        left = self._raw[self._at :]
        self._raw, self._at = memoryview(data), 0
        if not data:
            self._incoming.write(left)
            self._incoming.write_eof()
        elif left:
            missing = _find_size(left, 0) - len(left)
            if 0 < missing <= len(data):
                self._incoming.write(left)
                self._incoming.write(self._raw[:missing])
                self._at = missing
            else:
                self._raw = memoryview(b"".join((left, data)))
        return True

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left[:_RECORD]) :]
                self._unsent.append(self._outgoing.read())
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error

    async def _flush(self) -> None:
        """Send all pending records in order.

        What the kernel takes at once costs no round of the event loop, each of which would delay
        small requests. A bulk sender receives its data from somewhere, which costs a round.
        """
        if not (self._unsent or self._outgoing.pending):
            await trio.lowlevel.checkpoint()
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            while not self._send_now():
                await trio.lowlevel.wait_writable(self.below.socket)
        finally:
            self._turn.release()

    def _send_now(self) -> bool:
        """Send what the socket takes without blocking; returns whether nothing is left."""
        if self._outgoing.pending:
            self._unsent.append(self._outgoing.read())
        while self._unsent:
            records = self._unsent[:_MAX_RECORDS]
            try:
                sent = os.writev(self.below.socket.fileno(), records)
            except BlockingIOError:
                return False
            except OSError as error:
                raise trio.BrokenResourceError from error
            for number, record in enumerate(records):
                if sent < len(record):
                    self._unsent[: number + 1] = [memoryview(record)[sent:]]
                    return False
                sent -= len(record)
            del self._unsent[: len(records)]
        return True


def _find_size(raw: memoryview, at: int) -> int:
    """The size of the record at `at`; 0 if its header is incomplete.

    Anything but TLS counts as one record, so that the library reports it.
    """
    if len(raw) - at < _RECORD_HEAD:
        return 0
    size = _RECORD_HEAD + (raw[at + 3] << 8 | raw[at + 4])
    return size if raw[at] in _RECORD_KINDS and size <= 2 * _RECORD else len(raw) - at


def has_pending(stream: trio.abc.Stream) -> bool:
    """Whether an idle connection has something to read, which is lost: usually EOF.

    TLS's own messages, such as session tickets, are not that.
    """
    if isinstance(stream, TlsStream):
        try:
            return stream.receive_now(1) is not None or stream.has_unread
        except trio.BrokenResourceError:
            return True
    if not isinstance(stream, trio.SocketStream):
        return False
    poll = select.poll()
    poll.register(stream.socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The CAs: a file, a directory, or the system's if both are None.

    `text` has them in PEM. `is_waived`: git on this host does not verify; Airlock still does.
    """

    file: str | None
    directory: str | None
    is_waived: bool
    text: str | None = None

    @classmethod
    def read(cls, settings: Mapping[str, str], variables: Mapping[str, str]) -> "Trust":
        """Read git's settings `http.*` for a URL, by lower-case name, and variables.

        git-config(1) has both.
        """
        home = variables.get("HOME", "/")
        file = variables.get("GIT_SSL_CAINFO") or settings.get("sslcainfo")
        directory = variables.get("GIT_SSL_CAPATH") or settings.get("sslcapath")
        is_off = settings.get("sslverify", "true").lower() in ("false", "no", "off", "0", "")
        file_or_systems = file or variables.get("SSL_CERT_FILE", "")
        directory = directory or ("" if file else variables.get("SSL_CERT_DIR", ""))
        return cls(
            file=expand_home(file_or_systems, home) or None,
            directory=expand_home(directory, home) or None,
            is_waived=is_off or "GIT_SSL_NO_VERIFY" in variables,
        )

    def make_context(self) -> ssl.SSLContext:
        """Load the CAs, which takes some milliseconds. Raises Failed if they cannot be read."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            if self.file or self.directory or self.text:
                context.load_verify_locations(self.file, self.directory, self.text)
            else:
                context.load_default_certs()
        except OSError as error:
            # Includes ssl.SSLError.
            where = self.file or self.directory or "the kubeconfig"
            raise Failed(
                f"the certificate authorities in {where} cannot be read: {error.strerror or error}",
                hint="a person on the host can look at http.sslCAInfo and http.sslCAPath of git, "
                "and at GIT_SSL_CAINFO and SSL_CERT_FILE of the daemon",
            ) from error
        return context
