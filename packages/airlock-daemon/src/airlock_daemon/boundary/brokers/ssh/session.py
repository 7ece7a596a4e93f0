"""ssh sessions: admission, ssh's arguments, audit records, and advice when ssh fails."""

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.requester import OwnPipe, Requester, drop
from airlock_daemon.boundary.brokers.ssh.destination import SshDestination, SshSettings
from airlock_daemon.boundary.command import Emit, Ended, Stdio
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors, Closer
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import (
    HostLine,
    Login,
    Module,
    Query,
    RemoteError,
    Session,
    asks_for_token,
    find_host,
    names_transport,
    read_session_words,
)
from airlock_modules.operation import Operation
from airlock_wire import Stream, quote

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest

_GIT = "git"
"""The account of servers of git, whose commands are for git-remote to judge."""


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The request `asked`, to be run as `program` with `argv`.

    `is_pinned`: the profile names the host.
    """

    asked: Session | Query
    program: str
    argv: tuple[str, ...]
    is_pinned: bool = True


async def admit(
    args: tuple[str, ...], module: Module, generation: Generation, requester: Requester
) -> Admitted:
    """Admit the request in the arguments `args` of ssh; `module` has the program and its options.

    Raises Denied (layer "broker") for arguments and destination; Failed if the human's ssh fails.
    """
    asked = read_words(args)
    program = generation.programs.demand(module.bin)
    if isinstance(asked, Query):
        return Admitted(asked=asked, program=program, argv=(module.bin, *asked.words))
    line = find_granted(asked, generation)
    login = asked.login
    goal = SshDestination(
        user=login.user,
        host=login.host if line is None or line.name is None else line.name,
        port=login.port,
        family=asked.family,
    )

    argv = await goal.choose_argv(
        (module.bin,),
        () if asked.command is None else (asked.command,),
        # The operator's options precede the client's: ssh uses the first value.
        options=(*module.prepend, *_list_options(asked)),
        log_level=asked.log_level,
        requester=requester,
        refuse=partial(_needs_line, asked, verb="name"),
        is_named=line is not None and line.name is not None,
        is_granted=line is not None,
        is_reserved=partial(_is_reserved, line=line, generation=generation),
    )
    return Admitted(asked=asked, program=program, argv=argv, is_pinned=line is not None)


def read_words(args: tuple[str, ...]) -> Session | Query:
    """Read the arguments of ssh. Raises Denied."""
    try:
        return read_session_words(args)
    except RemoteError as error:
        raise Denied(
            f"ssh is refused: {error.problem}",
            layer="broker",
            rule=error.rule,
            hint="leave it out; what a host needs beside that, a person on the host can write for "
            "it into ~/.ssh/config there",
        ) from error


def find_granted(asked: Session, generation: Generation) -> HostLine | None:
    """Find the line that grants the host; None if the profile names no hosts at all.

    Raises Denied if it names some, but not this one, or if the session is for `[git]` to judge.
    """
    grant = generation.agent.profile.ssh
    line = find_host(grant.hosts, asked.login)
    if line is None and grant.is_pinned:
        message = f"this agent may not reach {quote(str(asked.login))} by ssh"
        raise _needs_line(asked, message, verb="add")
    if asked.command is not None and asks_for_token(asked.command):
        raise Denied(
            "ssh is refused: a forge answers such a command with a credential",
            layer="broker",
            rule="git",
            hint="a person on the host makes tokens; for files of Git LFS use git, with the "
            "transfer agent that airlock-shim --install-git sets up",
        )
    if asked.login.user == _GIT and (line is None or (line.name, line.user) == (None, None)):
        message = f"{quote(str(asked.login))} is an account of a server of git"
        raise _needs_line(asked, message, verb="name")
    _refuse_transport(asked, line, generation)
    return line


def _is_reserved(settings: SshSettings, *, line: HostLine | None, generation: Generation) -> bool:
    """As `find_granted`, for where ssh's configuration leads."""
    user = settings.options.get("user", ("",))[0]
    if user == _GIT and (line is None or line.user is None):
        return True
    git = generation.agent.profile.git
    login = Login(user=user, host=settings.host.lower(), port=None)
    return generation.grant.grants_git() and any(
        place.may_be_at(login) for place in (*git.push, *git.fetch)
    )


def _refuse_transport(asked: Session, line: HostLine | None, generation: Generation) -> None:
    """Raise Denied if a session would bypass the rules of `[git]` for the agent's remotes.

    An account at a repository of `[git]` is reserved for git, unless `line` names the host itself.
    """
    profile = generation.agent.profile
    if not generation.grant.grants_git():
        return
    if asked.command is not None and names_transport(asked.command):
        raise Denied(
            "ssh is refused: a command of git for a remote is for git-remote to judge",
            layer="broker",
            rule="git",
            hint="use git itself, or write the command as git does: git-upload-pack 'PATH'",
        )
    places = (*profile.git.push, *profile.git.fetch)
    if (line is None or line.name is None) and any(
        place.may_be_at(asked.login) for place in places
    ):
        raise Denied(
            f"ssh to {quote(str(asked.login))} is refused: [git] says what this agent may do there",
            layer="broker",
            rule="git",
            hint="use git itself; for a session there all the same, a person on the host can name "
            f'that in [ssh] of its airlock.toml: hosts = ["{asked.login}"]{AND_RELOAD}',
        )


def _needs_line(asked: Session, message: str, *, verb: str) -> Denied:
    """The refusal of a host, with the line of the profile that would grant it."""
    return Denied(
        message,
        layer="broker",
        rule="ssh.hosts",
        hint=f"a person on the host can {verb} it in [ssh] of its airlock.toml: "
        f'hosts = ["{asked.login}"]{AND_RELOAD}',
    )


_TERMINAL = {"auto": (), "no": ("-T",), "yes": ("-t",), "force": ("-tt",)}


def _list_options(asked: Session) -> list[str]:
    options = [f"-o{name}={value}" for name, value in asked.options]
    options += [f"-oSendEnv={name}" for name in asked.sends]
    options += _TERMINAL[asked.terminal]
    if asked.has_no_input:
        options.append("-n")
    if asked.is_subsystem:
        options.append("-s")
    return options


_COMMAND = 400


def name_operation(asked: Session | Query) -> Operation:
    """The command and its destination, or the query about ssh itself."""
    if not isinstance(asked, Session):
        return Operation(("ssh", *asked.words))
    subsystem = ("-s",) if asked.is_subsystem else ()
    command = () if asked.command is None else (asked.command,)
    return Operation(("ssh", str(asked.login), *subsystem, *command))


def describe_session(
    asked: Session | Query, variables: Mapping[str, str] = {}
) -> "ApprovalRequest | None":
    """A session for a person; None for a query, which leads nowhere.

    `variables` are the client's that ssh gets, and may send.
    """
    from airlock_daemon.boundary.approval.questions import ApprovalRequest  # noqa: PLC0415 - few need it
    from airlock_modules.files.approvals import name_place  # noqa: PLC0415

    if not isinstance(asked, Session):
        return None
    login, operation = asked.login, name_operation(asked)
    _, _, *rest = operation.words
    names = name_place(login.user, login.host, login.port)
    details = [(name, value) for name, value in asked.options]
    details += [("sends the variable", name) for name in asked.sends]
    details += [(f"variable {name}", value) for name, value in sorted(variables.items())]
    if asked.terminal != "auto":
        details.append(("terminal", asked.terminal))
    return ApprovalRequest(
        operation=operation,
        details=tuple(details),
        forms=tuple(("ssh", name, *rest) for name in names),
        note="what the command reads, and what is sent to it, is not bound",
    ).lasting


def describe(admitted: Admitted, *, sent: int | None, received: int | None) -> dict[str, object]:
    """Build the `detail` of a `broker` record, less than 3 KiB.

    `sent` and `received` are the bytes of ssh's stdin and stdout, None if they bypassed the daemon.

    Always has `operation` and `service` ("ssh"), which is all for a query. A session adds
    `destination`, `bytes` (sent), `received`, `unpinned` if no line of the profile names the host,
    and, unless it is a shell, `command` or `subsystem`.
    """
    asked = admitted.asked
    operation = shorten(name_operation(asked).line)
    detail: dict[str, object] = {"operation": operation, "service": "ssh"}
    if not isinstance(asked, Session):
        return detail
    detail["destination"] = shorten(f"ssh://{asked.login}")
    if asked.command is not None:
        key = "subsystem" if asked.is_subsystem else "command"
        detail[key] = shorten(asked.command, limit=_COMMAND)
    if not admitted.is_pinned:
        detail["unpinned"] = True
    return {**detail, "bytes": sent, "received": received}


def tell_verbosely(admitted: Admitted) -> str:
    """The text for a client with -v: the destination, and nothing about the host."""
    asked = admitted.asked
    if not isinstance(asked, Session) or not asked.is_verbose:
        return ""
    return (
        f"airlock: ssh goes to {asked.login}; what else -v tells would show the host's own "
        "configuration"
    )


# OpenSSH advises what only a person on the host can do, as it names the host's files. Its messages
# stay unchanged, and a line of Airlock's follows them.

# ssh's exit status for its own errors (ssh(1)).
_FAILED = 255
# Longer output is that of a session.
_MAX_BYTES = 8192

_UNVERIFIED = b"Host key verification failed."
_CHANGED = b"REMOTE HOST IDENTIFICATION HAS CHANGED"
_DENIED = b"Permission denied (publickey"


class LoginAdvice:
    """An `emit` that forwards everything, and then explains why ssh did not log in."""

    def __init__(self, emit: Emit, *, user: str | None, host: str, port: int | None) -> None:
        """`user`, `host` and `port` are as the client named the destination."""
        self._emit = emit
        self._heard = b""
        self._host = host
        at = host if user is None else f"{user}@{host}"
        self._words = f"ssh {at}" if port is None else f"ssh -p {port} {at}"

    async def emit(self, stream: Stream, data: bytes) -> None:
        """Forward the data."""
        if len(self._heard) <= _MAX_BYTES:
            self._heard += data
        await self._emit(stream, data)

    async def conclude(self, ended: Ended, *, end: str = "\n") -> None:
        """Tell the client what to do, in a line that ends with `end`."""
        advice = self._find() if ended.exit_code == _FAILED else None
        if advice is not None:
            await self._emit("stderr", f"airlock: {advice}{end}".encode())

    def _find(self) -> str | None:
        if len(self._heard) > _MAX_BYTES:
            return None
        if _CHANGED in self._heard:
            return (
                f"the host on which Airlock runs knows {self._host} by another key: a person there "
                "has to find out why, and can then run the ssh-keygen line above on that host, not "
                "in this container"
            )
        if _UNVERIFIED in self._heard:
            return (
                f"the host on which Airlock runs does not know the key of {self._host}: a person "
                f"there can connect once and compare it: {self._words}"
            )
        if _DENIED in self._heard:
            return (
                f"{self._host} accepts no key that ssh can use without a person: one on the host "
                f"can see why with {self._words}; a key with a passphrase has to be in the "
                "ssh-agent that the daemon knows (ssh-add)"
            )
        return None


class Counted:
    """An `emit` that forwards everything; `stdout` counts the bytes of stdout."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.stdout = 0

    async def emit(self, stream: Stream, data: bytes) -> None:
        """Forward the data."""
        if stream == "stdout":
            self.stdout += len(data)
        await self._emit(stream, data)


class Transport(Stdio):
    """stdin and stdout are the client's own pipes, or pipes of the daemon; stderr is the daemon's.

    For a push (`is_held`) the client's input does not reach the program directly: `read` reads it;
    `write` and `pass_rest` forward it, or `drop_rest` discards it. `sent` counts the forwarded
    bytes. No method blocks in a system call.
    """

    def __init__(self, passed: ClientDescriptors | None, *, is_held: bool) -> None:
        """`passed` are the client's descriptors, the first two of them pipes; None to stream.

        Raises OSError if no descriptors are left.
        """
        super().__init__()
        self._passed = passed
        self._closer = Closer() if passed is None else passed.closer
        self._is_held = is_held
        self.sent = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if self._passed is not None:
            client, answers = self._passed.numbers[:2]
            if self._is_held:
                client, answers = (self._keep(os.dup(number)) for number in (client, answers))
        else:
            client, answers = self._open_input(), self._open_output("stdout")
        self._client, self._answers = client, answers
        stdin = client
        if self._is_held:
            stdin, self._program = (self._keep(end) for end in os.pipe())
            # One per direction: a cancelled splice may hold a pipe's lock indefinitely.
            self._own, self._reply = (
                OwnPipe(*map(self._keep, os.pipe()), by=self._closer) for _ in range(2)
            )
            # A pipe holds as little as two pages if its user has many pipes (pipe(7)).
            os.set_blocking(self._program, False)
        self.standard = (stdin, answers, self._open_output("stderr"))

    @property
    def is_streamed(self) -> bool:
        """Whether stdin and stdout pass through the daemon."""
        return self._passed is None

    def hand_over(self) -> None:
        """Close the client's descriptors; a push keeps its own copies."""
        if self._passed is not None:
            self._passed.close(is_usable=True)

    async def read(self, turns: TurnQueue) -> bytes:
        """Read the client's next bytes, b"" at the end."""
        return await self._own.read(self._client, turns)

    async def write(self, data: bytes) -> None:
        """Write to the program's stdin. Raises OSError if it has ended."""
        view = memoryview(data)
        while view:
            try:
                count = os.write(self._program, view)
                self.sent += count
                view = view[count:]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._program)

    async def pass_rest(self, turns: TurnQueue) -> None:
        """Forward the client's input up to EOF. Raises OSError if the program has ended."""
        while data := await self.read(turns):
            await self.write(data)
        self.end_input()

    async def drop_rest(self, turns: TurnQueue, *, null: int) -> None:
        """Discard the client's input up to EOF. `null` is open /dev/null."""
        await drop(self._client, null, turns, by=self._closer)

    async def answer(self, data: bytes, turns: TurnQueue) -> None:
        """Write to the client's stdout, as the remote would. Raises OSError if it is closed."""
        await self._reply.write(self._answers, data, turns)

    def close(self) -> None:
        """As `Stdio.close`, without waiting for a holder of a client pipe's lock."""
        self._closer.close(self._descriptors, is_usual=True)
        self._descriptors.clear()
        super().close()

    def end_input(self) -> None:
        """Close the program's stdin."""
        if self._program >= 0:
            self._descriptors.remove(self._program)
            os.close(self._program)
            self._program = -1
