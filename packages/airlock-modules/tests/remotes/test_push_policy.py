"""What a push may move, and what its client is told."""

import subprocess
from pathlib import Path

import pytest

from airlock_modules.remotes.git_protocol import PacketReader
from airlock_modules.remotes.grants import GitGrant, RefPattern, compile_option, compile_protection
from airlock_modules.remotes.push import PushList, Refusal, Update, compose_report, judge_push
from airlock_wire import quote

NONE, ONE, TWO = "0" * 40, "1" * 40, "2" * 40
AGENT = GitGrant(
    refs=(RefPattern.of("refs/heads/agent/*"), RefPattern.of("refs/for/*")),
    protect=(compile_protection("refs/heads/agent/main"),),
    push_options=(compile_option("ci.*"),),
)


def read_packets(data: bytes) -> list[bytes]:
    """Return the packets of a report, which ends with a flush."""
    packets = PacketReader(limit=len(data))
    packets.feed(data)
    *found, last = iter(packets.take, None)
    assert last == b""
    return found


def push(*refs: str, new: str = TWO, options: tuple[str, ...] = ()) -> PushList:
    """A push that moves these refs."""
    return PushList(updates=tuple(Update(ONE, new, ref) for ref in refs), options=options)


@pytest.mark.parametrize("name", ["a", "feature/x", "x/agent/y"])
def test_an_agent_has_branches_of_its_own_where_nothing_is_said(name: str) -> None:
    """A grant without refs."""
    assert judge_push(GitGrant(), push(f"refs/heads/agent/{name}")) == ()


@pytest.mark.parametrize(
    "ref",
    [
        "HEAD",
        "refs/heads/main",
        "refs/heads/agent",
        "refs/heads/agents/x",
        "refs/heads/Agent/x",
        "refs/heads/x/agent/y",
        "refs/tags/v1.0",
        "refs/tags/agent/x",
        "refs/notes/commits",
        "refs/for/main",
        "refs/heads",
        "refs/replace/x",
        "main",
        "refs/headsx/a",
        "refs/heads/main%submit",
        "refs/heads/agent/x%submit",
        "refs/heads/agent/../main",
        "refs/heads/../tags/x",
        "refs/heads//a",
        "refs/heads/a.lock",
        "refs/heads/.a",
        "refs/heads/a\u202eb",
        "refs/heads/a.",
        "refs/heads/a./b",
        "refs/heads/a/",
        "refs/heads/@{1}",
        "refs/heads/a:b",
    ],
)
def test_other_refs_may_not(ref: str) -> None:
    """Those of others, those that servers treat in their own way, and names that are none."""
    assert [refusal.ref for refusal in judge_push(GitGrant(), push(ref))] == [ref]


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (push("refs/heads/agent/x"), None),
        (push(f"refs/heads/agent/{'a' * 495}"), None),
        (push("refs/heads/agent/x/y"), "refs"),
        (push("refs/heads/main"), "refs"),
        (push("refs/for/main"), None),
        (push("refs/for/main%submit"), "refs"),
        (push("refs/heads/agent/main"), "protect"),
        (push("refs/heads/agent/MAIN"), "protect"),
        (push("refs/heads/agent/x", new=NONE), "delete"),
        (push("refs/heads/agent/x", options=("ci.skip",)), None),
        (push("refs/heads/agent/x", options=("merge_request.create",)), "push_options"),
        (push("refs/heads/agent/x", options=("ci.skip;x=1",)), "push_options"),
        (push("refs/heads/agent/x", options=("ci.skip\nx=1",)), "push_options"),
        (push("refs/heads/agent/x", options=("ci.skip\0x=1",)), "push_options"),
        (push("refs/heads/agent/x", options=("ci.skip\x7f",)), "push_options"),
    ],
)
def test_a_grant_says_which_refs_move(asked: PushList, rule: str | None) -> None:
    """By its patterns; what is protected is so in any case, deletions and options need a word."""
    assert [refusal.rule for refusal in judge_push(AGENT, asked)] == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("asked", "ref", "rule", "problem"),
    [
        (
            push("refs/heads/agent/x", new=NONE),
            "refs/heads/agent/x",
            "delete",
            "deleting is not granted by [git] delete",
        ),
        (
            push(options=("y" * 99,)),
            None,
            "push_options",
            f"the push option {quote('y' * 99, limit=60)} is not granted",
        ),
        (
            push(f"refs/heads/agent/{'a' * 496}"),
            f"refs/heads/agent/{'a' * 496}",
            "refs",
            "this is no name of a ref",
        ),
    ],
)
def test_a_refusal_says_what_is_missing(
    asked: PushList, ref: str | None, rule: str, problem: str
) -> None:
    """A grant, or a name that servers accept."""
    assert judge_push(AGENT, asked) == (Refusal(ref=ref, rule=rule, problem=problem),)


@pytest.mark.parametrize(
    "ref",
    [
        f"refs/heads/{name}"
        for name in (
            *("Gr\u00f6\u00dfe", "gro\u0308\u00dfe", "GR\u00d6SSE", "x%y", "\uff58y", "x\uff0fy"),
            *(
                "gr\u034f\u00f6\u00dfe",
                "gr\u00f6\u00dfe\ufe0f",
                "gr\u3164\u00f6\u00dfe",
                "\uffa0xy",
            ),
            *("gro\U000e0100\u0308\u00dfe", "\uff27r\u00f6\u00dfe"),
        )
    ],
)
def test_what_a_file_system_takes_for_a_protected_ref_is_one(ref: str) -> None:
    """In another case, width or composition, with what nobody sees, or with options of a server."""
    protect = tuple(map(compile_protection, ("refs/heads/gr\u00f6\u00dfe", "refs/heads/x*")))
    grant = GitGrant(refs=(RefPattern.of("refs/**"), RefPattern.of("**%*")), protect=protect)
    assert [refusal.rule for refusal in judge_push(grant, push(ref))] == ["protect"]


@pytest.mark.parametrize(
    ("refs", "allowed"),
    [
        (("refs/heads/agent/*",), "refs/heads/agent/*"),
        (("refs/a", "refs/b", "refs/c"), "refs/a, refs/b, refs/c"),
        (("refs/a", "refs/b", "refs/c", "refs/d"), "refs/a, refs/b, refs/c, ..."),
        (("refs/\u202ea",), '"refs/\\u{202e}a"'),
        ((), "no ref"),
    ],
)
def test_a_refusal_names_what_is_allowed(refs: tuple[str, ...], allowed: str) -> None:
    """What is protected and what refs leaves out, with the first patterns of refs."""
    protect = (compile_protection("refs/heads/main"),)
    grant = GitGrant(refs=tuple(map(RefPattern.of, refs)), protect=protect)
    found = judge_push(grant, push("refs/heads/x", "refs/heads/main"))
    assert [refusal.problem for refusal in found] == [
        f"[git] refs does not allow it; allowed: {allowed}",
        f"[git] protect forbids it; allowed: {allowed}",
    ]


def test_each_of_very_many_refs_has_its_reason() -> None:
    """However many are refused: a minute of looking would hold up everybody."""
    many = PushList(
        updates=push(*(f"x{number}" for number in range(20_000))).updates,
        capabilities=("report-status", "side-band-64k"),
    )
    bands = read_packets(compose_report(many, judge_push(GitGrant(), many)))
    assert {band[:1] for band in bands} == {b"\1"}
    unpacked, *lines = read_packets(b"".join(band[1:] for band in bands))
    assert unpacked == b"unpack ok\n"
    assert [line.split(b" airlock: ")[0] for line in lines] == [
        f"ng x{number}".encode() for number in range(20_000)
    ]
    assert all(line.endswith(b"; allowed: refs/heads/agent/**\n") for line in lines)


@pytest.mark.parametrize("capabilities", [("side-band-64k",), ()])
def test_git_shows_why_a_push_was_refused(tmp_path: Path, capabilities: tuple[str, ...]) -> None:
    """Plain git takes the report for its server's, with each band and without."""
    asked = PushList(
        updates=tuple(Update(ONE, TWO, f"refs/heads/{name}") for name in ("a", "main")),
        capabilities=("report-status", *capabilities),
    )
    refusals = (Refusal(ref="refs/heads/main", rule="refs", problem="not this one"),)
    (tmp_path / "report").write_bytes(compose_report(asked, refusals))
    shown = _push_to(tmp_path, advertised=" ".join(("report-status", *capabilities)))
    assert "! [remote rejected] main -> main (airlock: not this one)" in shown
    assert "! [remote rejected] a -> a (airlock: not sent, since another ref" in shown


def test_who_agreed_on_no_report_gets_none() -> None:
    """Such a client would take it for something else."""
    assert compose_report(push("refs/heads/a"), ()) == b""


def _push_to(directory: Path, *, advertised: str) -> str:
    """What git prints of a push of two branches to a server that answers with `report`."""
    repository = directory / "repository"
    _git(directory, "init", "--quiet", "--initial-branch=main", str(repository))
    _git(repository, "commit", "--quiet", "--allow-empty", "-m", "x")
    _git(repository, "branch", "a")
    line = f"{NONE} capabilities^{{}}\\0{advertised}"
    length = len(line) - 1 + 4
    server = directory / "server"
    # The list that comes is a few hundred bytes, and the pack ends with its checksum.
    server.write_text(
        f"#!/bin/sh\nprintf '{length:04x}{line}0000'\ncat {directory}/report\ncat >/dev/null\n"
    )
    server.chmod(0o755)
    done = subprocess.run(
        ["git", "push", "here:x", "main", "a"],
        cwd=repository,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory),
            "GIT_SSH_COMMAND": str(server),
            "GIT_SSH_VARIANT": "simple",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def _git(directory: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *words], cwd=directory, capture_output=True, check=True)
