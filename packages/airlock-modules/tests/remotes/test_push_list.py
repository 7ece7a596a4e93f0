"""The list of refs of a push, read as git-receive-pack reads it or not at all."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import FLUSH, frame
from airlock_modules.remotes.push import PushList, PushReader, Update
from airlock_wire import quote

NONE, ONE, TWO = "0" * 40, "1" * 40, "2" * 40
CAPABILITIES = "report-status-v2 side-band-64k object-format=sha1 agent=git/2.47.3"


def line(old: str, new: str, ref: str, capabilities: str | None = None) -> bytes:
    """One update as git sends it."""
    text = f"{old} {new} {ref}" + ("" if capabilities is None else f"\0 {capabilities}")
    return frame(text.encode("utf-8", "surrogateescape"))


def read(data: bytes, *, piece: int = 1 << 20) -> PushList | None:
    """Feed all of it, `piece` bytes at a time."""
    reader = PushReader()
    for at in range(0, len(data), piece):
        whole = reader.feed(data[at : at + piece])
        if whole is not None:
            return whole
    return None


def test_a_list_says_what_the_push_does() -> None:
    """Creations, moves and deletions, what was agreed on, options, and whether a pack follows."""
    data = (
        frame(f"shallow {ONE}".encode())
        + line(NONE, ONE, "refs/heads/a", f"{CAPABILITIES} push-options")
        + line(ONE, TWO, "refs/heads/ä")
        + line(TWO, NONE, "refs/tags/v1")
        + FLUSH
        + frame(b"ci.skip")
        + FLUSH
        + b"PACK"
    )
    push = read(data)
    assert push is not None
    assert push.updates == (
        Update(NONE, ONE, "refs/heads/a"),
        Update(ONE, TWO, "refs/heads/ä"),
        Update(TWO, NONE, "refs/tags/v1"),
    )
    assert [update.is_deletion for update in push.updates] == [False, False, True]
    assert push.options == ("ci.skip",)
    assert push.capabilities == (*CAPABILITIES.split(), "push-options")
    assert push.brings_pack
    assert read(data, piece=1) == push


def test_a_push_of_nothing_or_of_deletions_brings_no_pack() -> None:
    """After such a list the client waits for the answer."""
    assert read(FLUSH) == PushList()
    deletion = read(line(ONE, NONE, "refs/heads/a", CAPABILITIES) + FLUSH)
    assert deletion is not None
    assert not deletion.brings_pack


FIRST = line(ONE, TWO, "refs/heads/a")
TWICE = "a list of refs names capabilities twice"
MIXED = "a list of refs mixes two kinds of object ids"
LONG = "x" * 200
FOREIGN = f"\udcff{LONG}"
SHALLOW = f"shallow {ONE}"
OPTIONS = line(ONE, TWO, "refs/heads/a", "push-options") + FLUSH


def unread(text: str) -> str:
    """What is said of a line that is none, cut."""
    return f"a line of a list of refs cannot be read: {quote(text, limit=80)}"


@pytest.mark.parametrize(
    ("data", "rule", "problem"),
    [
        pytest.param(FIRST + line(ONE, TWO, "refs/x", "quiet"), "push-list", TWICE, id="late"),
        *(
            pytest.param(
                line(ONE, TWO, "refs/heads/a", words),
                *("capability", f"a push asks the server for {quote(words)}"),
                id=name,
            )
            for name, words in (
                ("unknown capability", "push-cert=x"),
                ("value for a plain one", "push-options=1"),
                ("tab", "quiet\tpush-options"),
                ("second NUL", "agent=x\0push-options"),
            )
        ),
        *(
            pytest.param(frame(text.encode()), "push-list", unread(text), id=name)
            for name, text in (
                ("blank in a ref", f"{ONE} {TWO} refs/heads/a b"),
                ("two lines", f"{ONE} {TWO} refs/heads/a\nrefs/heads/main"),
                ("no ref", f"{ONE} {TWO} "),
                ("upper case", f"{ONE.replace('1', 'A')} {TWO} refs/heads/a"),
                ("short", f"{ONE[:-1]} {TWO} refs/heads/a"),
                ("long", LONG),
            )
        ),
        pytest.param(
            line(ONE, TWO, FOREIGN),
            *("push-list", f"a ref is not UTF-8: {quote(FOREIGN, limit=80)}"),
            id="ref that is not UTF-8",
        ),
        pytest.param(
            OPTIONS + frame(b"\xff"),
            *("push-list", 'a push option is not UTF-8: "\\xff"'),
            id="option that is not UTF-8",
        ),
        pytest.param(line(ONE, TWO + "2" * 24, "a"), "push-list", MIXED, id="two kinds of ids"),
        pytest.param(
            FIRST + frame(SHALLOW.encode()),
            *("push-list", unread(SHALLOW)),
            id="late shallow",
        ),
        pytest.param(
            frame(f"{SHALLOW}\0quiet".encode()),
            *("push-list", unread(SHALLOW)),
            id="capabilities of shallow",
        ),
        pytest.param(
            frame(b"push-cert\0quiet"), "push-list", "signed pushes are not passed on", id="signed"
        ),
        pytest.param(
            b"0001" + FLUSH, "pkt-line", "a list of refs holds a packet of length 1", id="delimiter"
        ),
    ],
)
def test_what_could_be_read_otherwise_is_refused(data: bytes, rule: str, problem: str) -> None:
    """Also where only the server would understand it."""
    with pytest.raises(RemoteError) as caught:
        read(data + FLUSH)
    assert (caught.value.rule, str(caught.value)) == (rule, problem)


@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_bytes_are_read_the_same_however_they_come(data: bytes, piece: int) -> None:
    """A list, an error or neither."""

    def outcome(size: int) -> object:
        try:
            return read(data, piece=size)
        except RemoteError as error:
            return error.rule

    assert outcome(piece) == outcome(300)


def test_git_does_what_was_read(tmp_path: Path) -> None:
    """What git-receive-pack hands to its hook is what the reader says, if it says any."""
    repository = tmp_path / "server.git"
    _git(tmp_path, "init", "--quiet", "--bare", str(repository))
    _git(repository, "config", "receive.advertisePushOptions", "true")
    commit = _git(repository, "commit-tree", "-m", "x", _git(repository, "mktree")).strip()
    for name in ("a", "b"):
        _git(repository, "update-ref", f"refs/heads/{name}", commit)
    hook = repository / "hooks/pre-receive"
    hook.write_text(
        '#!/bin/sh\n{ cat; echo "options ${GIT_PUSH_OPTION_COUNT:-0}"; } >hook.txt\nexit 1\n'
    )
    hook.chmod(0o755)
    plain = line(commit, NONE, "refs/heads/a", "report-status")
    lists = [
        plain + line(commit, NONE, "refs/heads/b"),
        line(commit, NONE, "refs/heads/a", "report-status push-options"),
        line(commit, NONE, "refs/heads/a", "report-status push-options=1"),
        plain + line(commit, NONE, "refs/heads/b", "push-options"),
        frame(f"shallow {ONE}".encode()) + plain,
        line(commit, NONE, "refs/heads/a\n", "report-status"),
    ]
    told = 0
    for each in lists:
        data = each + FLUSH + frame(b"ci.skip") + FLUSH
        (repository / "hook.txt").unlink(missing_ok=True)
        subprocess.run(
            ["git", "receive-pack", str(repository)], input=data, capture_output=True, check=False
        )
        try:
            push = read(data)
        except RemoteError:
            continue
        assert push is not None
        said = [f"{update.old} {update.new} {update.ref}" for update in push.updates]
        told += 1
        shown = (repository / "hook.txt").read_text().splitlines()
        assert shown == [*said, f"options {len(push.options)}"]
    assert told >= 3


def _git(directory: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(
        ["git", *identity, *words],
        cwd=directory,
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("data", "rule", "problem"),
    [
        (
            b"".join(line(ONE, TWO, f"a{number}") for number in range(20_001)),
            *("refs", "a push may not name more than 20000 refs"),
        ),
        (OPTIONS + frame(b"x") * 1001, "push_options", "a push has more than 1000 options"),
    ],
)
def test_no_list_is_endless(data: bytes, rule: str, problem: str) -> None:
    """More refs or options than anybody has are no push."""
    with pytest.raises(RemoteError) as caught:
        read(data + FLUSH)
    assert (caught.value.rule, str(caught.value)) == (rule, problem)


def test_a_list_can_be_looked_at_in_parts() -> None:
    """One after the other, with its options once."""
    updates = tuple(Update(ONE, TWO, str(number)) for number in range(5))
    push = PushList(updates=updates, capabilities=("atomic",), options=("x",))
    parts = list(push.split(2))
    assert tuple(update for part in parts for update in part.updates) == updates
    assert [(part.capabilities, part.options) for part in parts] == [
        (("atomic",), ("x",)),
        (("atomic",), ()),
        (("atomic",), ()),
    ]
