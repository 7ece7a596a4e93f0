"""What is no commit or tag of a granted address, and would be signed in git's namespace."""

import random
from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family, ask
from e2e.canary.scene import Scene
from e2e.canary.sign import COMMIT, GRANTED, ID, PERSON, TAG

_EVIL = b"ceo@evil.example"
_FOREIGN = COMMIT.replace(GRANTED, _EVIL)

# What is signed in other places, and must not be called a commit.
_CERTIFICATE = (
    b"certificate version 0.1\npusher key 1700000000 +0000\npushee forge\nnonce 1-2\n\n"
    + b"0" * 40
    + b" "
    + ID
    + b" refs/heads/main\n"
)
_OTHERS: tuple[tuple[str, bytes], ...] = (
    ("a push certificate", _CERTIFICATE),
    ("a push certificate behind a line", b"\n" + _CERTIFICATE),
    ("a push certificate behind a byte order mark", b"\xef\xbb\xbf" + _CERTIFICATE),
    ("a push certificate in capitals", _CERTIFICATE.upper()),
    ("a push certificate behind a tree", b"tree " + ID + b"\n" + _CERTIFICATE),
    ("nothing", b""),
    ("a word", b"hello\n"),
    ("what ssh has signed to log in", b"\0\0\0\x20" + b"s" * 32 + b"2git\0ssh-connection"),
    ("what ssh-keygen signs", b"SSHSIG\0\0\0\4file\0\0\0\0\0\0\0\6sha512"),
    ("a certificate to be", b"ssh-ed25519-cert-v01@openssh.com\n\n"),
    ("a tree", b"100644 file\0" + b"x" * 20),
    ("a commit with a signature", COMMIT.replace(b"\n\n", b"\ngpgsig x\n\n", 1)),
    ("a commit with another's", COMMIT.replace(b"\n\n", b"\ngpgsig-sha256 x\n\n", 1)),
    ("a commit with a header of its own", COMMIT.replace(b"\n\n", b"\nnonce x\n\n", 1)),
    ("a commit with a NUL", COMMIT + b"\0" + _CERTIFICATE),
    ("a commit with two authors", COMMIT.replace(b"author", b"author x\nauthor", 1)),
    ("a commit without a message", COMMIT.partition(b"\n\n")[0]),
    ("a commit of another encoding", COMMIT.replace(b"\n\n", b"\nencoding utf-7\n\n", 1)),
    ("a commit of two megabytes", COMMIT + b"x" * (2 << 20)),
    ("a tag with a signature", TAG + b"-----BEGIN SSH SIGNATURE-----\n"),
    ("a tag of nothing known", TAG.replace(b"type commit", b"type cert")),
    ("a tag and a certificate", TAG.replace(b"\n\n", b"\n" + _CERTIFICATE, 1)),
)

# One address in the eyes of one reader, and another in those of the next.
_PERSONS: tuple[bytes, ...] = (
    b"CEO <ceo@evil.example> 1 +0000",
    b"CEO <CEO@EVIL.EXAMPLE> 1 +0000",
    b"CEO <ceo@evil.example> <agent@acme.example> 1 +0000",
    b"CEO <agent@acme.example> <ceo@evil.example> 1 +0000",
    b"CEO <ceo@evil.example>, A <agent@acme.example> 1 +0000",
    b"CEO <ceo@evil.example,agent@acme.example> 1 +0000",
    b"CEO <ceo@evil.example agent@acme.example> 1 +0000",
    b"CEO <ceo@evil.example@acme.example> 1 +0000",
    b'CEO <"ceo@evil.example"@acme.example> 1 +0000',
    b"CEO <ceo@evil.example%@acme.example> 1 +0000",
    b"CEO <ceo@evil.example\t@acme.example> 1 +0000",
    b"CEO <ceo@evil.example\r@acme.example> 1 +0000",
    b"CEO <ceo@evil.example/@acme.example> 1 +0000",
    b"CEO <agent@acme.example.evil.example> 1 +0000",
    b"CEO <agent@evilacme.example> 1 +0000",
    "CEO <agent@\u0430cme.example> 1 +0000".encode(),
    "CEO <agent@acme.example\u200b> 1 +0000".encode(),
    b"CEO <agent@acme.example 1 +0000",
    b"CEO agent@acme.example 1 +0000",
    b"CEO <> 1 +0000",
    b"CEO <agent@acme.example> 1 +0000 <ceo@evil.example>",
    b"CEO <ceo@evil.example\n <agent@acme.example> 1 +0000",
)
_WORDS: tuple[tuple[str, ...], ...] = (
    ("-Y", "sign", "-n", "file", "-f", "<server>/client-key"),
    ("ssh", "-n", "file"),
    ("ssh", "-f", "<server>/client-key"),
    ("ssh", "-O", "hashalg=sha256"),
    ("ssh-key", "<server>/client-key"),
    ("ssh-key", "-y"),
    ("-y", "-f", "<server>/client-key"),
    ("-s", "<server>/client-key", "-I", "x", "<server>/client-key.pub"),
    ("ssh\nfile",),
    ("SSH",),
    ("",),
    (),
)
_TEXTS = (b"\x1b]0;evil\x07", b"\xe2\x80\xaeevil", b"\xff\xfe", b"x" * 5000, b'" allowed')

_AT_ONCE = 20
_MESSAGE = 4096
_PIECES = (
    *(b"\n", b"\n\n", b"\n ", b" ", b"<", b">", b"\0", b"\r", b"\t", b"\xc2\xa0", b"gpgsig x\n"),
    *(b"tree ", b"parent ", b"object ", b"tag v1\n", b"type commit\n", b"mergetag object x\n"),
    *(b"<" + GRANTED + b">", b"encoding utf-16\n", b"certificate version 0.1\n", ID),
)


def _fuzz(seed: int) -> bytes:
    """A commit or tag of somebody else, with a few pieces put in or taken out."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    data = chance.choice((_FOREIGN, TAG.replace(GRANTED, _EVIL), _CERTIFICATE))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        data = data[:at] + chance.choice(_PIECES) + data[at + chance.choice((0, 0, 1, 3)) :]
    return data


def _send_fuzzed(first: int, scene: Scene) -> bytes:
    words = ("ssh",)
    return b"".join(
        scene.converse("signing", words, command="git-sign", says=_fuzz(seed))
        for seed in range(first, first + _AT_ONCE)
    )


def _attacks() -> Iterator[Attack]:
    sign = partial(ask, agent="signing", command="git-sign")

    def signers(name: str, *, says: bytes, agent: str = "signing") -> Attack:
        return sign(name, "signers", "ssh", agent=agent, says=says, works_without=True)

    for name, data in _OTHERS:
        yield sign(name, "signing", "ssh", says=data, works_without=True)
        if len(data) < _MESSAGE:
            way = f"{name}, in messages"
            yield sign(way, "signing", "ssh", says=data, way="messages", works_without=True)
    for person in _PERSONS:
        for role in (b"author", b"committer"):
            data = COMMIT.replace(role + b" " + PERSON, role + b" " + person)
            yield signers(f"{role.decode()} {person!r}", says=data)
        yield signers(f"tagger {person!r}", says=TAG.replace(PERSON, person))
    for name, data in (("commit", _FOREIGN), ("tag", TAG.replace(GRANTED, _EVIL))):
        yield signers(f"{name} of another", says=data)
    yield signers("a tag where commits are granted", agent="signing-commits", says=TAG)
    for words in _WORDS:
        yield sign(f"words {words!r}", "words", *words, says=COMMIT, works_without=True)
    for text in _TEXTS:
        data = _FOREIGN.replace(b"subject", text)
        yield sign(f"subject {text[:20]!r}", "texts", "ssh", says=data)
        is_raw = text[:1] in (b"\x1b", b"\xe2")
        says = text + b"\n\n"
        yield sign(f"header {text[:20]!r}", "texts", "ssh", says=says, works_without=is_raw)
    for first in range(0, 200, _AT_ONCE):
        name = f"fuzzed, {first} to {first + _AT_ONCE - 1}"
        yield Attack(name, "signing", partial(_send_fuzzed, first), works_without=True)
    for agent in ("pinned", "session"):
        yield sign(
            f"an agent without git-sign, {agent}", "signers", "ssh", says=COMMIT, agent=agent
        )


FAMILY = Family("sign", tuple(_attacks()))
