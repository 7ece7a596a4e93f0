"""A push as dulwich sends, reads and reports it, which shares no code with git or with us."""

import io
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dulwich.client import SendPackResult, TraditionalGitClient
from dulwich.errors import GitProtocolError
from dulwich.protocol import Protocol
from dulwich.repo import MemoryRepo
from dulwich.server import DictBackend, ReceivePackHandler
from hypothesis import event, given, settings
from hypothesis import strategies as st

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import FLUSH, frame
from airlock_modules.remotes.grants import GitGrant, RefPattern, compile_pattern, compile_protection
from airlock_modules.remotes.push import PushList, PushReader, compose_report, judge_push

NONE = "0" * 40
GRANT = GitGrant(
    refs=(RefPattern.of("refs/heads/**"),),
    protect=(compile_protection("refs/heads/main"),),
    push_options=(compile_pattern("ci.*"),),
)
# What a server says that it can, of which dulwich's client takes what it knows.
OFFERED = ("report-status", "delete-refs", "ofs-delta", "quiet", "atomic", "push-options")

_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Z")), min_size=1)
refs = st.sampled_from(
    ("refs/heads/main", "refs/heads/MAIN", "refs/heads/a", "refs/tags/v1", "refs/for/main", "x")
) | _NAMES.map("refs/heads/{}".format)
# The ids before and after.
moves = st.dictionaries(
    refs, st.permutations((NONE, "1" * 40, "2" * 40)).map(lambda ids: (ids[0], ids[1])), min_size=1
)
odd = st.sampled_from((b"\0", b" ", b"\n", b"\t", b"0", b"0000")) | st.binary(
    min_size=1, max_size=4
)
options = st.lists(st.sampled_from((b"ci.skip", b"ci.variable=a b", b"other")), max_size=2)
offers = st.sets(st.sampled_from(OFFERED)).map(lambda drawn: ["delete-refs", *sorted(drawn)])


class Client(TraditionalGitClient):
    """dulwich's own push, to a server of which this is all: it refuses what `GRANT` does."""

    def __init__(self, refs: Mapping[str, str], offered: list[str]) -> None:
        super().__init__()
        lines = [f"{at} {ref}" for ref, at in refs.items()] or [f"{NONE} capabilities^{{}}"]
        lines[0] += "\0" + " ".join(offered)
        advertised = b"".join(frame(f"{line}\n".encode()) for line in lines) + FLUSH
        self._said = io.BytesIO(advertised)
        self.heard = bytearray()
        self.push: PushList | None = None

    def _connect(self, *_: Any, **__: Any) -> tuple[Protocol, Any, None]:
        return Protocol(self._read, self.heard.extend), lambda: True, None

    def _read(self, size: int) -> bytes:
        if not (data := self._said.read(size)) and self.push is None:
            self.push = read(bytes(self.heard))
            self._said = io.BytesIO(compose_report(self.push, judge_push(GRANT, self.push)))
            data = self._said.read(size)
        return data


class Server(ReceivePackHandler):
    """dulwich's own server, which keeps the list that it has read and stops there."""

    read: list[tuple[str, str, str]] | None = None

    def capabilities(self) -> list[bytes]:
        """Those that git may ask for, too."""
        return [*super().capabilities(), b"report-status-v2", b"push-options"]

    def _apply_pack(self, refs: list[Any]) -> Iterator[tuple[bytes, bytes]]:
        self.read = [tuple(os_text(word) for word in each) for each in refs]  # type: ignore[misc]
        return iter(())


def os_text(data: bytes) -> str:
    """Any bytes as a text of their own."""
    return data.decode("utf-8", "surrogateescape")


def read(data: bytes) -> PushList:
    """The list in `data`, all of which is there."""
    reader = PushReader()
    push = reader.feed(data)
    assert push is not None
    return push


def read_by_dulwich(data: bytes) -> list[tuple[str, str, str]] | None:
    """What dulwich's server reads, None where it refuses to."""
    proto = Protocol(io.BytesIO(data).read, lambda _: None)
    there: dict[str, Any] = {"/": MemoryRepo()}
    server = Server(DictBackend(there), ["/"], proto, stateless_rpc=True)
    try:
        server.handle()
    except (GitProtocolError, AssertionError, ValueError):
        return None
    return server.read


def send(
    wanted: Mapping[str, tuple[str, str]], offered: list[str], said: list[bytes]
) -> tuple[Client, SendPackResult]:
    """Push with dulwich what `wanted` has: the id before and after for each ref."""
    client = Client({ref: old for ref, (old, _) in wanted.items() if old != NONE}, offered)
    result = client.send_pack(
        b"x",
        lambda _: {ref.encode(): new.encode() for ref, (_, new) in wanted.items()},  # type: ignore[misc]
        lambda *_, **__: (0, iter(())),
        push_options=said,
    )
    return client, result


@settings(deadline=None)
@given(moves, offers, options)
def test_a_push_of_dulwich_is_read_and_refused_in_its_words(
    wanted: dict[str, tuple[str, str]], offered: list[str], said: list[bytes]
) -> None:
    """The list is what its client was told to do, and its client reads each refusal."""
    if "report-status" not in offered:
        offered.append("report-status")
    client, result = send(wanted, offered, said)
    push = client.push
    assert push is not None
    assert {each.ref: (each.old, each.new) for each in push.updates} == wanted
    assert push.options == tuple(map(bytes.decode, said if "push-options" in offered else ()))
    assert push.brings_pack == (b"PACK" in client.heard)
    refused = {refusal.ref: refusal.problem for refusal in judge_push(GRANT, push)}
    event("refused" if refused else "granted")
    if not refused:
        return
    others = refused.get(None, "not sent, since another ref of this push is refused")
    assert result.ref_status == {
        ref.encode(): f"airlock: {refused.get(ref, others)}" for ref in wanted
    }


@settings(deadline=None)
@given(
    moves,
    st.sampled_from((None, "report-status", " atomic quiet", "side-band-64k agent=a/1")),
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(0, 400), odd), max_size=2),
    st.sampled_from(("", "\n")),
)
def test_a_server_of_dulwich_reads_the_same_list(
    wanted: dict[str, tuple[str, str]],
    capabilities: str | None,
    where: int,
    damage: list[tuple[int, bytes]],
    end: str,
) -> None:
    """Also where bytes of it are others than a client meant, which either may refuse."""
    lines = [f"{old} {new} {ref}" for ref, (old, new) in wanted.items()]
    if capabilities is not None:
        lines[min(where, len(lines) - 1)] += f"\0{capabilities}"
    is_whole = not damage and (where == 0 or capabilities is None or len(lines) == 1)
    packets = bytearray(b"".join(frame(f"{line}{end}".encode()) for line in lines) + FLUSH)
    for at, other in damage:
        packets[at : at + len(other)] = other
    try:
        push = PushReader().feed(bytes(packets))
    except RemoteError:
        push = None
        assert not is_whole
    theirs = read_by_dulwich(bytes(packets))
    event(f"ours {push is not None}, theirs {theirs is not None}")
    if is_whole:
        assert theirs is not None
    if push is not None and push.updates and theirs is not None:
        assert [(each.old, each.new, each.ref) for each in push.updates] == theirs


def test_a_push_of_git_is_read_by_all_three(tmp_path: Path) -> None:
    """What git sends to git-receive-pack: its hook, dulwich and we read the same list."""
    server, work = tmp_path / "server.git", tmp_path / "work"
    _git(tmp_path, "init", "--quiet", "--bare", str(server))
    _git(server, "config", "receive.advertisePushOptions", "true")
    _git(tmp_path, "init", "--quiet", "--initial-branch=main", str(work))
    _git(work, "commit", "--quiet", "--allow-empty", "-m", "x")
    _git(work, "push", "--quiet", str(server), "main", "main:gone")
    _git(work, "commit", "--quiet", "--allow-empty", "-m", "y")
    hook = server / "hooks/pre-receive"
    hook.write_text(f"#!/bin/sh\ncat >{tmp_path}/hook\nexit 1\n")
    hook.chmod(0o755)
    tee = tmp_path / "tee"
    tee.write_text(f'#!/bin/sh\ntee {tmp_path}/sent | git receive-pack "$1"\n')
    tee.chmod(0o755)
    for words in (
        ("main", "main:refs/heads/\u00e4", "main:refs/tags/v1", ":gone"),
        ("--push-option=ci.skip", "--atomic", "main", ":gone"),
        (":gone",),
    ):
        (tmp_path / "hook").unlink(missing_ok=True)
        told = _git(work, "push", f"--receive-pack={tee}", str(server), *words, fails=True)
        assert "pre-receive hook declined" in told
        sent = (tmp_path / "sent").read_bytes()
        push = read(sent)
        ours = [(each.old, each.new, each.ref) for each in push.updates]
        shown = (tmp_path / "hook").read_text().splitlines()
        assert [" ".join(each) for each in ours] == shown
        assert read_by_dulwich(sent) == ours
        assert push.options == (("ci.skip",) if "--atomic" in words else ())


def _git(directory: Path, *words: str, fails: bool = False) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=directory, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout
