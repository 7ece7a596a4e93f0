"""The control socket: the daemon's user lists the open questions, and answers them.

Nobody else may connect: no other user, no container, and nothing that the daemon has started, such
as a tool, a hook or what `[approve] notify` runs.
"""

import os
import pwd
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.approval.questions import ApprovalRequest, Question
from airlock_daemon.boundary.identity.peer import Peer, identify, refuse_own
from airlock_daemon.errors import AirlockError, Denied, own_fault
from airlock_daemon.platform.system import peer_credentials, read_process_entry
from airlock_daemon.serving.daemon.socket_file import bind, clear
from airlock_daemon.serving.daemon.socket_file import identify as identify_file
from airlock_daemon.serving.request import DaemonState, log
from airlock_daemon.setup import answering
from airlock_wire import escape

_MODE = 0o600
# Connections at a time, and seconds for a request.
_AT_ONCE = 16
_REQUEST_S = 10.0
# Between two lists of questions, this times what the first one took.
_PAUSE = 4
# Seconds until it accepts again after an error.
_AGAIN_S = 1.0
_USER = re.compile(r"[A-Za-z0-9._@$-]{1,32}")
# Of /proc/PID/loginuid: nobody has logged in.
_NOBODY = 4_294_967_295

_LOOK_AGAIN = (
    "a person answers in a terminal of the host, in no container and no other mount namespace: "
    "airlock pending"
)


class ControlSocket:
    """Listens on the control socket. A task must `run` it."""

    def __init__(self, path: str, shared: DaemonState) -> None:
        """Make the socket, and its directory (0700). Raises AirlockError."""
        self._shared = shared
        self._approvals = shared.approvals
        self._texts: dict[str, Text] = {}
        # By question, how many requests a person was shown.
        self._counts: dict[str, int] = {}
        self._name = os.path.basename(path)
        folder = os.path.dirname(path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self._directory = os.open(folder, flags)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            if os.fstat(self._directory).st_uid != os.geteuid():
                raise PermissionError(0, "it is another user's")
            os.fchmod(self._directory, 0o700)
            clear(self._directory, self._name, path)
            self._listening, self._file = bind(self._directory, self._name, mode=_MODE, gid=None)
        except BaseException as error:
            os.close(self._directory)
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    async def run(self) -> None:
        """Serve connections until cancelled, then remove the socket."""
        try:
            async with trio.open_nursery() as nursery:
                await self._accept(nursery)
        finally:
            self._close()

    async def _accept(self, nursery: trio.Nursery) -> None:
        room = trio.Semaphore(_AT_ONCE)
        listening = trio.socket.from_stdlib_socket(self._listening)
        while True:
            await room.acquire()
            try:
                connection, _ = await listening.accept()
            except OSError as error:
                log.error("the control socket: %s; it accepts again in a second", error.strerror)
                room.release()
                await trio.sleep(_AGAIN_S)
                continue
            nursery.start_soon(self._serve, trio.SocketStream(connection), room)

    def _close(self) -> None:
        # Another daemon may have replaced the file.
        with suppress(OSError):
            if identify_file(self._directory, self._name) == self._file:
                os.unlink(self._name, dir_fd=self._directory)
        self._listening.close()
        os.close(self._directory)

    async def _serve(self, stream: trio.SocketStream, room: trio.Semaphore) -> None:
        try:
            async with stream:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._converse(stream)
        except Exception:  # noqa: BLE001 - one connection must not end the others
            log.exception("a fault of the daemon ended a connection; please report it")
        finally:
            room.release()

    async def _converse(self, stream: trio.SocketStream) -> None:
        reply: answering.ToPerson
        try:
            try:
                by = self._admit(stream.socket)
            except Denied:
                # It can read the refusal only if it could send its request.
                await _receive_line(stream)
                raise
            request = _read_request(await _receive_line(stream))
            if isinstance(request, answering.ListQuestions):
                await self._list(stream, request)
                return
            reply = self._answer(request, by)
        except AirlockError as error:
            if isinstance(error, Denied):
                log.warning("the control socket: %s; %s", error.message, error.hint)
            reply = answering.Refused(message=error.message, hint=error.hint)
        except Exception as error:
            fault = own_fault(error)
            await _send(stream, answering.Refused(message=fault.message, hint=fault.hint))
            raise
        await _send(stream, reply)

    def _admit(self, connection: trio.socket.SocketType) -> str:
        """The name of the person at the other end. Raises Denied."""
        with socket.socket(fileno=os.dup(connection.fileno())) as plain:
            credentials = peer_credentials(plain)
            if credentials.uid != os.geteuid():
                raise _deny(f"user {credentials.uid} may not answer the questions of this daemon")
            try:
                peer = identify(plain, credentials)
            except Denied as error:
                raise _deny(f"who answers cannot be told: {error.message}") from error
        if peer.kind != "local" or peer.container is not None:
            raise _deny("a container may not answer the questions of this daemon")
        refuse_own(peer, self._shared.ancestry)
        return _name_person(peer)

    async def _list(self, stream: trio.SocketStream, request: answering.ListQuestions) -> None:
        printed = set[str]()
        while True:
            # A question that is asked while the list is sent is a change.
            wait, now = self._approvals.watch(), trio.current_time()
            listed = self._approvals.questions.list_open(now)
            # A client may change a question often, but not what it is about.
            self._texts = {
                each.id: self._texts.get(each.id) or Text.of(each.asked) for each in listed
            }
            counts = {each.id: self._counts.get(each.id, 1) for each in listed}
            if request.answers:
                listed = tuple(_limit(each, counts[each.id]) for each in listed)
            else:
                # Whoever follows them sees each question once.
                counts |= {each.id: each.waiting for each in listed if each.id not in printed}
                printed.update(counts)
            self._counts = counts
            shown = tuple(show(each, now, self._texts[each.id]) for each in listed)
            line = _encode(answering.Questions(questions=shown))
            # Others have most of the time, however long the list is and however often it changes.
            pause = _PAUSE * (trio.current_time() - now)
            await stream.send_all(line)
            if not request.follows:
                return
            await trio.sleep(pause)
            await _wait_change(stream, wait)

    def _answer(self, request: answering.Approve | answering.Reject, by: str) -> answering.Answered:
        """Answer a question; raises AirlockError."""
        questions, now = self._approvals.questions, trio.current_time()
        others = 0
        if isinstance(request, answering.Approve):
            question = questions.approve(
                request.id,
                request.digest,
                waiting=request.waiting,
                by=by,
                now=now,
                for_s=request.for_s,
            )
            if request.for_s is None:
                others = max(0, question.waiting - request.waiting)
        else:
            question = questions.reject(request.id, by=by, now=now, reason=request.reason)
        self._approvals.note_change()
        word = "approved" if isinstance(request, answering.Approve) else "rejected"
        log.info("agent %s: %s %s %s", question.agent, by, word, question.id)
        return answering.Answered(id=question.id, others=others)


async def _wait_change(stream: trio.SocketStream, wait: Callable[[], Awaitable[None]]) -> None:
    """Wait for a change. Raises BrokenResourceError if the person's end is closed first."""
    is_gone = False
    async with trio.open_nursery() as nursery:

        async def watch_end() -> None:
            nonlocal is_gone
            # It says nothing more, so whatever comes is its end.
            with suppress(trio.BrokenResourceError):
                await stream.receive_some(1)
            is_gone = True
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch_end)
        await wait()
        nursery.cancel_scope.cancel()
    if is_gone:
        raise trio.BrokenResourceError


def _limit(question: Question, count: int) -> Question:
    """Count only as many requests as a person was shown: any number may have come since."""
    return replace(question, waiting=min(question.waiting, count))


class Text(msgspec.Struct, frozen=True):
    """What a question is about, for a person, with nothing that a terminal obeys."""

    operation: str
    details: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, asked: ApprovalRequest) -> "Text":
        """The text of an operation; some megabytes for four requests with a body."""
        details = (
            (_escape(label), tuple(_escape(text, keep="\n").split("\n")))
            for label, text in asked.details
        )
        return cls(asked.operation.whole, tuple(details))


def show(question: Question, now: float, text: Text | None = None) -> answering.ShownQuestion:
    """A question for a person; `text` is that of what it is about, if it is made already."""
    asked = question.asked
    text = text or Text.of(asked)
    return answering.ShownQuestion(
        id=question.id,
        agent=question.agent,
        client=question.client,
        operation=text.operation,
        details=text.details,
        digest=question.digest,
        waiting=question.waiting,
        pattern=question.pattern,
        note=asked.note,
        age_s=round(now - question.began, 1),
        left_s=round(question.ends - now, 1),
        may_last=bool(asked.scope),
    )


def _escape(text: str, *, keep: str = "") -> str:
    """A text with escapes as in `quote`, but for double quotes and what to `keep`."""
    return escape(text, keep=f'"{keep}')


def _name_person(peer: Peer) -> str:
    """The user of the process, and who logged in if that is somebody else (sudo)."""
    name = _name_user(peer.uid)
    with suppress(OSError, ValueError):
        login = int(read_process_entry(peer.pid, "loginuid"))
        if login not in (_NOBODY, peer.uid):
            return f"{_name_user(login)} as {name}"
    return name


def _name_user(uid: int) -> str:
    """A user's name, if it fits into a record; else the number."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    return name if _USER.fullmatch(name) else str(uid)


async def _receive_line(stream: trio.SocketStream) -> bytes:
    """Read what is sent until the end of a line, in a time and a length that suffice for one."""
    data = b""
    with trio.move_on_after(_REQUEST_S):
        while not data.endswith(b"\n") and len(data) <= answering.MAX_LENGTH:
            piece = await stream.receive_some(answering.MAX_LENGTH)
            if not piece:
                break
            data += piece
    return data


def _read_request(data: bytes) -> answering.ToDaemon:
    """Parse the one request. Raises AirlockError."""
    try:
        request: answering.ToDaemon = msgspec.json.decode(data, type=answering.ToDaemon)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AirlockError(
            f"the control socket was sent no request: {error}",
            hint="use the airlock of the same release as the daemon",
        ) from error
    return request


async def _send(stream: trio.SocketStream, reply: answering.ToPerson) -> None:
    await stream.send_all(_encode(reply))


def _encode(reply: answering.ToPerson) -> bytes:
    return msgspec.json.encode(reply) + b"\n"


def _deny(message: str) -> Denied:
    return Denied(message, layer="workspace", rule="control", hint=_LOOK_AGAIN)


def _unusable(path: str, error: OSError) -> AirlockError:
    return AirlockError(
        f"the control socket {path} cannot be made: {error.strerror}",
        hint="mend the permissions of its directory, or name another state directory: [daemon] "
        "state in config.toml",
    )
