"""Tests of `airlock_daemon.admin.cli.verdict`: rules, and the workspace without the client."""

import pytest

from airlock_daemon.admin.cli import verdict
from airlock_daemon.admin.cli.verdict import Answer, Verdict
from airlock_daemon.boundary.workspace.path_arguments import find_undecided
from airlock_modules import evaluate
from worlds import World

# Of a command without a box, whose paths are the host's.
PATHS = """
[syntax]
subcommands = 1
path_flags = ["-C"]
path_words = ["diff"]
[deny]
args = []
"""


@pytest.fixture(autouse=True)
def _sh_has_paths(world: World) -> None:
    world.write_module("sh", "sh", PATHS)


def judge(world: World, command: str, *args: str) -> Verdict:
    """What `test` decides about a request of the agent `my`."""
    generation = world.load().generations["my"]
    decision = evaluate(generation.grant, command, args)
    return verdict.judge(generation, decision, command, args)


def test_paths_that_the_profile_maps_are_looked_at(world: World) -> None:
    """A link in there that leads out is refused for every client."""
    world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
    (world.workspace / "out").symlink_to("/etc")
    assert judge(world, "sh", "-C", "/workspace/in", "status").undecided == ()
    refused = judge(world, "sh", "-C", "/workspace/out", "status")
    assert (refused.allowed, refused.rule, refused.is_workspace_refusal) == (False, "outside", True)


def test_paths_are_not_looked_at_in_a_box(world: World) -> None:
    """They are the container's there, and lead nowhere else."""
    found = judge(world, "git", "-C", "~/x", "status")
    assert (found.allowed, found.undecided) == (True, ())


@pytest.mark.parametrize(
    ("hosts", "args", "allowed", "says", "undecided"),
    [
        ('["me@host"]', ("me@host", "id"), True, 'passed: [ssh] hosts has "me@host"', ()),
        ('["me@host"]', ("host", "id"), False, "refused: this agent may not reach", ()),
        ('["*.com"]', ("a.com",), True, 'undecided: "*.com" is a pattern', ("a.com",)),
        (None, ("a.com",), True, "and for it in known_hosts", ("a.com",)),
        ("[]", ("-V",), True, "passed: it leads nowhere", ()),
        ("[]", ("-l", "a@b", "host"), False, "", ()),
    ],
)
def test_where_ssh_leads_is_judged_as_far_as_the_profile_says(
    world: World,
    hosts: str | None,
    args: tuple[str, ...],
    *,
    allowed: bool,
    says: str,
    undecided: tuple[str, ...],
) -> None:
    """What the daemon looks up is left open, and either answer of its broker agrees."""
    (world.config / "config.toml").write_text('[commands]\nenable = ["ssh"]\n')
    world.write_profile("" if hosts is None else f"[ssh]\nhosts = {hosts}\n")
    found = judge(world, "ssh", *args)
    assert (found.allowed, found.undecided) == (allowed, undecided)
    assert says in (found.broker or "")
    refused = Answer("no", "broker")
    assert found.agrees_with(refused) is bool(undecided or not allowed)


@pytest.mark.parametrize(
    ("found", "answer", "agrees"),
    [
        (Verdict(allowed=True), Answer(), True),
        (Verdict(allowed=True), Answer("no", "module"), False),
        (Verdict(allowed=False), Answer(), False),
        (Verdict(allowed=False), Answer("no"), True),
        (Verdict(allowed=True, undecided=("/x",)), Answer("no", "workspace"), True),
        (Verdict(allowed=True, undecided=("/x",)), Answer("no", "module"), False),
        (Verdict(allowed=True, undecided=("/x",)), Answer(), True),
        (Verdict(allowed=True), Answer("no", "workspace"), False),
    ],
)
def test_a_daemon_agrees_if_it_decides_alike(found: Verdict, answer: Answer, agrees: bool) -> None:
    """Of what is left open here it may refuse what it does not know either."""
    assert found.agrees_with(answer) is agrees


@pytest.mark.parametrize(
    ("path", "is_undecided"),
    [
        ("sub/x", False),
        ("sub/../x", False),
        ("~root", False),
        ("/dev/null", False),
        ("/workspace", False),
        ("/workspace/a/b", False),
        ("//workspace/./a", False),
        ("/data", False),
        ("{here}/x", False),
        ("/workspace/../etc", True),
        ("/workspaces", True),
        ("/", True),
        ("..", True),
        ("sub/../../x", True),
    ],
)
def test_the_profile_decides_of_what_it_maps_and_of_what_stays_below(
    world: World, path: str, is_undecided: bool
) -> None:
    """The client's directory decides of what climbs, its container's mounts of the rest."""
    here = world.workspace
    world.write_profile(
        f'[workspace]\nmounts = {{ "/workspace" = "{here}", "/data" = "{here}" }}\n'
        f'same_path = ["{here}"]\n'
    )
    path = path.format(here=here)
    assert find_undecided([path], world.load().generations["my"].agent) == (
        (path,) if is_undecided else ()
    )
