"""What a profile says of git's remotes."""

from pathlib import Path

import pytest

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.checking import Checked
from worlds import ANY_REF, World

GRANT = '[git]\npush = ["github.com/acme/*"]\n'


def enable(world: World, *names: str) -> None:
    """Enable these commands and no other."""
    listed = ", ".join(f'"{name}"' for name in names)
    text = f'[commands]\nenable = [{listed}]\n[log]\npath = "{world.log}"\n'
    (world.config / "config.toml").write_text(text)


def test_git_remote_comes_with_git(tmp_path: Path) -> None:
    """It is within the ceiling without being named, and an agent may have it alone."""
    world = World(tmp_path)
    enable(world, "git")
    world.write_profile(GRANT, commands='["git-remote"]')
    generation = world.load().generations["my"]
    assert generation.grant.ceiling == ("git", "git-remote")
    assert generation.agent.profile.granted(generation.grant.ceiling) == ["git-remote"]
    assert generation.agent.profile.git.is_pinned


@pytest.mark.parametrize("commands", ['["git"]', "[]", '["git", "git-remote"]'])
def test_a_grant_of_places_beside_git_without_a_box_is_a_fault(
    tmp_path: Path, commands: str
) -> None:
    """That git would not heed it; the built-in one has no other way to a remote."""
    world = World(tmp_path)
    enable(world, "git")
    world.write_profile(GRANT, commands=commands)
    world.load()
    world.write_module("git", "git")
    with pytest.raises(SetupError) as raised:
        world.load()
    (fault,) = raised.value.faults
    assert (fault.key, fault.remedy) == (
        "git",
        f'write [sandbox] box = "closed" in {world.agent}/commands/git.toml, or leave [git] out',
    )


@pytest.mark.parametrize(
    ("text", "is_fit"),
    [
        ("ssh -i {}/key", True),
        ("ssh -i {}/typo -o IdentitiesOnly=yes", False),
        ("ssh -F {}/typo", False),
        ("ssh -i {}/key; id", False),
        ("ssh -A", False),
    ],
)
def test_an_unfit_ssh_command_is_a_fault(tmp_path: Path, text: str, *, is_fit: bool) -> None:
    """Of an agent that has git-remote, or git in a box; git without one runs it by a shell."""
    world = World(tmp_path)
    enable(world, "git")
    (tmp_path / "key").touch()
    more = f"[env]\nset = {{ GIT_SSH_COMMAND = '{text.replace('{}', str(tmp_path))}' }}\n"
    for commands in ('["git"]', "[]", '["git-remote"]'):
        world.write_profile(more, commands=commands)
        checked = Checked.of(world.locations)
        assert [fault.name for fault in checked.faults] == ([] if is_fit else ["remotes"])
    world.write_module("git", "git")
    world.write_profile(more, commands='["git"]')
    world.load()


def test_who_names_no_place_is_called_unpinned(tmp_path: Path) -> None:
    """A note, with the line to write; an empty list pins to nowhere."""
    world = World(tmp_path)
    enable(world, "git")
    world.write_profile("", commands='["git-remote"]')
    (note,) = (each for each in Checked.of(world.locations).notes if each.key == "git")
    assert note.name == "remotes"
    assert "agent my is unpinned" in note.problem
    world.write_profile(f"[git]\npush = []\n{ANY_REF}", commands='["git-remote"]')
    assert Checked.of(world.locations).notes == ()


def test_which_refs_are_the_default_is_said(tmp_path: Path) -> None:
    """A note with the line that widens it, for every agent that reaches remotes."""
    world = World(tmp_path)
    enable(world, "git", "ssh")
    for commands in ('["git-remote"]', '["git"]'):
        world.write_profile(GRANT, commands=commands)
        (note,) = (each for each in Checked.of(world.locations).notes if each.key == "git.refs")
        assert "so that my may push to refs/heads/agent/** only" in note.problem
        assert note.remedy.endswith(f"write in [git]: {ANY_REF.strip()}")
    world.write_profile(GRANT + ANY_REF, commands=commands)
    assert not any(each.key == "git.refs" for each in Checked.of(world.locations).notes)
    world.write_profile("", commands='["ssh"]')
    assert not any(each.key == "git.refs" for each in Checked.of(world.locations).notes)


def test_that_git_runs_on_this_host_is_said(tmp_path: Path) -> None:
    """A note, with the way out."""
    world = World(tmp_path)
    enable(world, "git")
    world.write_profile("", commands='["git"]')
    unpinned, _, note = Checked.of(world.locations).notes
    assert "agent my is unpinned" in unpinned.problem
    assert "git and its hooks run on this host, sandboxed" in note.problem
    assert 'grant commands = ["git-remote"]' in note.remedy
    world.write_module("git", "git")
    notes = [each.problem for each in Checked.of(world.locations).notes]
    assert any("git and its hooks run on this host, without a box" in each for each in notes)


def test_ssh_is_unpinned_until_its_hosts_are_named(tmp_path: Path) -> None:
    """A note; beside a [git] it says that ssh goes past that."""
    world = World(tmp_path)
    enable(world, "git", "ssh")
    for more, says in (
        ("", "ssh reaches every host in your known_hosts"),
        (GRANT + ANY_REF, "but those of [git]"),
    ):
        world.write_profile(more, commands='["git-remote", "ssh"]')
        (note,) = (each for each in Checked.of(world.locations).notes if each.key == "ssh")
        assert note.name == "remotes"
        assert says in note.problem
    world.write_profile(f"{GRANT}{ANY_REF}[ssh]\nhosts = []\n", commands='["git-remote", "ssh"]')
    assert Checked.of(world.locations).notes == ()


def test_hosts_beside_an_ssh_that_does_not_heed_them_are_a_fault(tmp_path: Path) -> None:
    """A module that wants no broker; without hosts `check` notes what it gives up."""
    world = World(tmp_path)
    enable(world, "ssh")
    (world.agent / "commands" / "ssh.toml").write_text(
        '[command]\nbin = "ssh"\nbroker = "none"\n[deny]\nargs = []\n'
    )
    world.write_profile("", commands='["ssh"]')
    notes = [note.problem for note in Checked.of(world.locations).notes]
    assert any("the built-in ssh is a broker of the daemon" in note for note in notes)
    world.write_profile('[ssh]\nhosts = ["host"]\n', commands='["ssh"]')
    (fault,) = Checked.of(world.locations).faults
    assert (fault.key, "which runs ssh on this host and ignores it" in fault.problem) == (
        "ssh",
        True,
    )


UNSEEN = '["push & --tags", "push & --delete", "remote add"]'


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (UNSEEN, '"push & --tags", "remote add" have no effect: git-remote sees refs'),
        ('["push & -o"]', '"push & -o" has no effect'),
        ('["push", "push & refs/heads/*"]', None),
    ],
)
def test_rules_that_nothing_applies_are_a_fault(
    tmp_path: Path, rules: str, told: str | None
) -> None:
    """The container's own git is not asked by them, and its owner would rely on them."""
    world = World(tmp_path)
    enable(world, "git")
    world.write_profile(f"[deny]\ngit = {rules}\n", commands='["git-remote"]')
    faults = Checked.of(world.locations).faults
    assert [fault.key for fault in faults] == ["deny.git"] * (told is not None)
    for fault in faults:
        assert fault.problem.startswith(told or "")
        assert 'use [git], such as refs = ["refs/heads/agent/**"]' in str(fault)


def test_rules_that_hold_for_the_git_of_this_host_alone_are_told(tmp_path: Path) -> None:
    """Those about remotes: an alias gets around them. Others are about what that git does here."""
    world = World(tmp_path)
    enable(world, "git")
    world.write_profile(f"[deny]\ngit = {UNSEEN}\n", commands='["git"]')
    findings = Checked.of(world.locations).findings
    (finding,) = (each for each in findings if each.name == "remotes")
    assert finding.key == "deny.git"
    assert finding.problem.startswith('"push & --tags" has no effect on git-remote')


def test_rules_of_an_override_are_told_as_well(tmp_path: Path) -> None:
    """But for those that the built-in module has too."""
    world = World(tmp_path)
    enable(world, "git")
    box = '[sandbox]\nbox = "closed"\nbrokers = ["git"]\n'
    world.write_module("git", "git", f'[deny]\nargs = ["push & --force", "gc"]\n{box}')
    for commands, told in (('["git"]', []), ('["git-remote"]', ['"gc" has no effect on git-r'])):
        world.write_profile("", commands=commands)
        found = [each.problem for each in Checked.of(world.locations).findings]
        found = [each for each in found if "no effect" in each]
        assert [problem[: len(told[0])] for problem in found] == told


def test_a_box_from_which_remotes_are_reached_counts_as_git_remote(tmp_path: Path) -> None:
    """Its agent may be unpinned, `[git]` holds beside it, and git-remote must be enabled."""
    world = World(tmp_path)
    box = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\nbrokers = ["git"]\n'
    world.write_module("sh", "/bin/sh", box)
    world.write_module("git", "/usr/bin/git", box)
    enable(world, "sh")
    world.write_profile(commands='["sh"]')
    found = [str(each) for each in Checked.of(world.locations).findings]
    assert any('"git-remote" is not enabled in config.toml' in each for each in found), found
    enable(world, "sh", "git")
    # From the box of another command they are reached where the profile grants git, too.
    for commands, is_told in (('["sh"]', False), ('["git"]', True)):
        world.write_profile(commands=commands)
        notes = [str(each) for each in Checked.of(world.locations).notes]
        told = "agent my is unpinned: git-remote reaches all"
        assert any(told in each for each in notes) == is_told, notes
    world.write_profile(GRANT, commands='["git"]')
    assert world.load().generations["my"].agent.profile.git.is_pinned


@pytest.mark.parametrize(
    ("hosts", "is_told"), [("host", True), ("git@host", True), ("me@host", False), ("h*", False)]
)
def test_a_host_of_ssh_that_is_one_of_git_is_said(
    tmp_path: Path, hosts: str, *, is_told: bool
) -> None:
    """Sessions there are not bound by refs; those of a pattern are refused."""
    world = World(tmp_path)
    enable(world, "git-remote", "ssh")
    grant = f'[git]\npush = ["git@host/x"]\n[ssh]\nhosts = ["{hosts}"]\n'
    world.write_profile(grant, commands='["git-remote", "ssh"]')
    notes = [note for note in Checked.of(world.locations).notes if note.key == "ssh.hosts"]
    assert [f'"{hosts}" is a host of [git] too' in note.problem for note in notes] == [
        True
    ] * is_told


def test_a_key_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    """As a key of GIT_SSH_COMMAND is: the daemon would sign nothing."""
    world = World(tmp_path)
    world.write_profile(f'[sign]\nkey = "{world.root}/key"\n')
    with pytest.raises(SetupError, match=r"\[sign\] key: names a key that is not there"):
        world.load()
    (world.root / "key").touch()
    assert world.load().generations["my"].agent.profile.sign is not None


def test_that_the_human_s_own_key_signs_is_said(tmp_path: Path) -> None:
    """A note, of an agent that has git-sign and no key of its own."""
    world = World(tmp_path)
    enable(world, "git-sign")
    world.write_profile("", commands='["git-sign"]')
    (note,) = Checked.of(world.locations).notes
    assert note.key == "sign.key"
    assert "commits of my are signed as your own" in note.problem
    (world.root / "key").touch()
    world.write_profile(f'[sign]\nkey = "{world.root}/key"\n', commands='["git-sign"]')
    assert Checked.of(world.locations).notes == ()
