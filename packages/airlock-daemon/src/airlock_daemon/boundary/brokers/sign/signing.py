"""A request to sign: its words, the judgement of what is signed, and the signature.

The argument of git-sign is one of these words:

- `ssh` signs the commit or tag on stdin, and writes the signature to stdout;
- `openpgp` does the same by gpg, and writes to stderr what git expects of its status;
- `ssh-key` writes the public key that signs, as git's gpg.ssh.defaultKeyCommand does.
"""

from collections.abc import Callable, Sequence

import msgspec

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.requester import BufferedBytes, Requester, Streams
from airlock_daemon.boundary.brokers.sign.key import (
    HumanSigning,
    SigningKey,
    find_key,
    find_openpgp,
    find_public,
    read_human_signing,
)
from airlock_daemon.boundary.command import Emit, Ended
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module, RemoteError, evaluate
from airlock_modules.remotes.signing import (
    MAX_BYTES,
    Kind,
    SignGrant,
    Unsigned,
    judge_signing,
    read_unsigned,
)
from airlock_wire import quote

SIGN = "ssh"
OPENPGP = "openpgp"
SHOW_KEY = "ssh-key"

NAMESPACE = "git"
"""The only one that is signed in (ssh-keygen(1)): a signature in it is good for git alone."""
# What was read, and its copies.
_GROWTH = 3
# A person may have to touch a key.
_ANSWER_S = 60.0
_SSH_SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\n"
_PGP_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\n"
# Git looks for it (gnupg's doc/DETAILS).
_CREATED = b"[GNUPG:] SIG_CREATED D\n"


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """An admitted request: `word` is its argument, `command` the name that was granted.

    `key` is one of ssh, or the user id of one of OpenPGP.
    """

    word: str
    command: str
    program: str
    key: SigningKey | str
    human: HumanSigning


Tell = Callable[[Unsigned, AirlockError | None], None]
"""Called once with what is to be signed, and why it was not."""


def read_words(args: tuple[str, ...]) -> str:
    """Read the arguments of git-sign. Raises Denied."""
    if args in ((SIGN,), (OPENPGP,), (SHOW_KEY,)):
        return args[0]
    shown = " ".join(map(quote, args[:4]))
    raise Denied(
        f"git-sign does not know {shown or 'what to do'}",
        layer="broker",
        rule="words",
        hint="git itself calls it, once airlock-shim --install-git has run in the image",
    )


def read_named(args: Sequence[str]) -> tuple[Kind | None, tuple[str, ...]]:
    """Read what a person asks `airlock test` about: a kind of object, and addresses.

    The kind is None for the words of git-sign itself.
    """
    kinds: dict[str, Kind] = {"commit": "commit", "tag": "tag"}
    return kinds.get(args[0] if args else ""), tuple(args[1:])


async def admit(args: tuple[str, ...], module: Module, requester: Requester) -> Admitted:
    """Admit the request in the arguments `args`; `module` has the program.

    Raises Denied (layer "broker") for other words, or without a key; Failed if git of the host does
    not answer.
    """
    word = read_words(args)
    generation = requester.generation
    human = await read_human_signing(generation.programs.demand("git"), requester)
    named = find_grant(generation).key
    key: SigningKey | str
    if word == OPENPGP:
        key, program = find_openpgp(named, human), human.gpg
    else:
        key = find_key(named, human, home=requester.home, workspaces=generation.workspaces)
        program = module.bin
    return Admitted(
        word=word,
        command=module.name,
        program=generation.programs.demand(program),
        key=key,
        human=human,
    )


def find_grant(generation: Generation) -> SignGrant:
    """What is signed for an agent: `[sign]` of its profile."""
    return generation.agent.profile.sign or SignGrant()


class SignConversation:
    """One request to sign. `tell` is called for each commit or tag that could be read."""

    def __init__(self, admitted: Admitted, requester: Requester, *, tell: Tell) -> None:
        self._admitted = admitted
        self._requester = requester
        self._tell = tell

    async def run(self, streams: Streams, say: Emit) -> Ended:
        """Sign what the client sends, or show the key.

        Raises Denied for what is not granted, Failed if there is no signature.
        """
        admitted = self._admitted
        if admitted.word == SHOW_KEY and isinstance(admitted.key, SigningKey):
            public = await find_public(admitted.key, admitted.program, self._requester)
            return await _answer(streams, f"key::{public}\n".encode())
        held = BufferedBytes(self._requester.gate)
        try:
            signature = await self._sign(await _read(streams, held), say)
            if admitted.word == OPENPGP:
                await say("stderr", _CREATED)
            return await _answer(streams, signature)
        except RemoteError as error:
            raise _refuse(error) from error
        finally:
            held.release()

    async def _sign(self, data: bytes, say: Emit) -> bytes:
        """Judge and sign; returns the signature. Raises RemoteError for other bytes."""
        asked = read_unsigned(data)
        try:
            self._judge(asked)
            if self._requester.has_approvals:
                await self._ask_person(asked, data, say)
                # The files may have been reloaded meanwhile.
                self._judge(asked)
            signature = await self._ask_program(data)
        except AirlockError as error:
            self._tell(asked, error)
            raise
        self._tell(asked, None)
        return signature

    def _judge(self, asked: Unsigned) -> None:
        """A client may delay what it sends, so the grants at its start and now must both allow it.

        They must also name the same key. Raises Denied.
        """
        requester = self._requester
        current = requester.current
        if current is not requester.generation:
            decision = evaluate(current.grant, self._admitted.command, (self._admitted.word,))
            if not decision.allowed:
                raise Denied(
                    decision.message,
                    layer=decision.layer or "profile",
                    rule=decision.rule,
                    hint=decision.hint,
                )
            if find_grant(current).key != find_grant(requester.generation).key:
                raise Denied(
                    "the key that signs for this agent was changed since git asked",
                    layer="broker",
                    rule="sign.key",
                    hint="sign it again",
                )
            judge_object(asked, current, own=self._admitted.human.email)
        judge_object(asked, requester.generation, own=self._admitted.human.email)

    async def _ask_person(self, asked: Unsigned, data: bytes, say: Emit) -> None:
        """Wait for a person's approval, where one is required; it never lasts. Raises Denied."""
        from airlock_daemon.boundary.approval.questions import ApprovalRequest  # noqa: PLC0415 - few need it

        text = data.decode("utf-8", "surrogateescape")
        shown = ApprovalRequest(operation=asked.operation, details=((f"the {asked.kind}", text),))
        await self._requester.approve(shown, say)

    async def _ask_program(self, data: bytes) -> bytes:
        admitted, requester = self._admitted, self._requester
        argv: tuple[str, ...]
        if isinstance(admitted.key, str):
            argv = ("gpg", "--batch", "--no-tty", "-bsau", admitted.key)
            begins, advice = _PGP_SIGNATURE, "gpg --list-secret-keys lists those that it has"
        else:
            file = admitted.key.find_file(requester.directory)
            argv = ("ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", file)
            begins, advice = _SSH_SIGNATURE, "ssh-add -l lists those of the daemon's ssh-agent"
        status, said = await requester.run_program(
            admitted.program, argv, said=data, seconds=_ANSWER_S
        )
        if status != 0 or not said.startswith(begins):
            raise Failed(
                f"{argv[0]} on the host has not signed it (exit status {status})",
                hint=f"a person on the host can see to it that the key can be used: {advice}",
            )
        return said


def judge_object(asked: Unsigned, generation: Generation, *, own: str | None) -> None:
    """Judge a commit or tag by the grant of one generation. Raises Denied."""
    try:
        judge_signing(find_grant(generation), asked, own=own)
    except RemoteError as error:
        raise Denied(
            error.problem,
            layer="broker",
            rule=f"sign.{error.rule}",
            hint=f"a person on the host can grant it by {error.rule} in [sign] of this agent's "
            f"airlock.toml{AND_RELOAD}",
        ) from error


async def _read(streams: Streams, held: BufferedBytes) -> bytes:
    """Read all that the client sends, or a little more than is signed. Raises RemoteError."""
    data = bytearray()
    while piece := await streams.read():
        held.add(_GROWTH * len(piece))
        data += piece
        if len(data) > MAX_BYTES:
            break
    return bytes(data)


async def _answer(streams: Streams, data: bytes) -> Ended:
    try:
        await streams.write(data)
    except OSError:
        # The client has closed its stdout.
        return Ended(1, None)
    return Ended(0, None)


def _refuse(error: RemoteError) -> Denied:
    return Denied(
        f"nothing is signed: {error.problem}",
        layer="broker",
        rule=error.rule,
        hint="git itself calls it for a commit or a tag; nothing else is signed",
    )


def describe(asked: Unsigned) -> dict[str, object]:
    """Build the `detail` of a `broker` record, less than 3 KiB.

    `object` is the whole id that `operation` abbreviates, and `sha256` identifies all that was to
    be signed.
    """
    return {
        "operation": shorten(asked.operation.line),
        "object": asked.id,
        "emails": [shorten(each) for each in asked.emails],
        "sha256": asked.digest,
    }
