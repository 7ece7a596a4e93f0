"""Tests of `airlock_daemon.admin.cli.new_agent`: what registering an agent takes."""

import os
import re
import subprocess
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest

from airlock_daemon.admin.cli import new_agent
from airlock_daemon.admin.cli.new_agent import NewAgent, Plan, plan_agent
from airlock_daemon.admin.cli.repository import find_repository
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.setup import workspaces as judging
from airlock_daemon.setup.paths import Reserved
from airlock_modules import DEFAULT_REFS, PushList, Update, judge_push
from commanding import run
from worlds import World


def plan(
    world: World,
    name: str = "new",
    *,
    commands: tuple[str, ...] = ("git",),
    workspaces: tuple[str, ...] = (),
    directory: Path | None = None,
    refs: tuple[str, ...] = DEFAULT_REFS,
) -> Plan:
    new = NewAgent(
        name=name,
        directory=str(directory or world.config / "agents" / name),
        commands=commands,
        workspaces=workspaces,
        refs=refs,
    )
    return plan_agent(new, world.locations, str(world.agents_file))


def refuse(world: World, name: str = "new", **more: object) -> str:
    """What is said of an agent that cannot be registered."""
    with pytest.raises(AirlockError) as caught:
        plan(world, name, **more)  # type: ignore[arg-type]
    return f"{caught.value.message}; {caught.value.hint}"


def test_what_was_made_can_be_taken_back(world: World) -> None:
    """Every file and every directory."""

    def look() -> dict[str, str]:
        paths = (path for path in world.root.rglob("*") if path != world.workspace)
        return {str(path): path.read_text() if path.is_file() else "" for path in paths}

    before = look()
    with ExitStack() as undo:
        plan(world, commands=("git", "ssh")).apply(undo)
        assert len(look()) == len(before) + 5
    assert look() == before


def test_a_configuration_that_enables_nothing_yet_is_completed(world: World) -> None:
    """As a starter file with everything commented out."""
    config = world.config / "config.toml"
    config.write_text('# [commands]\n# enable = ["git"]\n')
    plan(world).apply(ExitStack())
    assert config.read_text() == (
        '# [commands]\n# enable = ["git"]\n\n[commands]\nenable = ["git"]\n'
    )


def test_a_directory_beside_the_registration_is_named_relative_to_it(world: World) -> None:
    """So that both can be moved; any other is named in full."""
    plan(world, "a.b", directory=world.root / "agents" / "x").apply(ExitStack())
    entries = tomllib.loads(world.agents_file.read_text())
    assert entries["a.b"] == {"path": "agents/x"}
    world.agents_file = world.config / "agents.toml"
    plan(world, "c", directory=world.root / "c").apply(ExitStack())
    assert tomllib.loads(world.agents_file.read_text())["c"] == {"path": str(world.root / "c")}


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", ".x", "a b", "x" * 65, "\u00fc"])
def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    """Before it becomes part of a path."""
    assert "is no name for an agent; use letters" in refuse(world, name)


def test_an_agent_or_a_directory_that_is_there_is_refused(world: World) -> None:
    """Nothing of it is changed."""
    said = refuse(world, "my")
    assert "agent my is registered already, in" in said
    assert f"to grant it more, add to commands in {world.agent}/airlock.toml" in said
    directory = world.config / "agents" / "new"
    directory.parent.mkdir()
    directory.symlink_to("nowhere")
    assert f"there is something at {directory} already; choose" in refuse(world)


def test_gh_without_git_has_the_remotes_at_github(world: World) -> None:
    """As [gh] repositories; beside git they are the places of [git] push."""
    for words in (
        ("init", "--quiet"),
        ("remote", "add", "origin", "https://github.com/acme/app.git"),
        ("remote", "add", "other", "https://forge.example.com/acme/other.git"),
    ):
        subprocess.run(["git", "-C", str(world.workspace), *words], check=True)
    for name, commands, own in (
        ("alone", ("gh",), {"repositories": ["acme/app"]}),
        ("both", ("gh", "git-remote"), None),
    ):
        made = plan(world, name, commands=commands, workspaces=(str(world.workspace),))
        profile = tomllib.loads(made.changes[0].after or "")
        assert profile.get("gh") == own
        made.apply(ExitStack())
        (api,) = world.load().generations[name].apis.apis
        assert api.repositories == ("acme/app",)


@pytest.mark.parametrize("name", ["gti", "Git", "../x", ""])
def test_a_command_without_a_module_is_refused(world: World, name: str) -> None:
    """A mistyped one would else be enabled; modules of the host count."""
    said = refuse(world, commands=(name,))
    assert "one of anthropic, aws, docker, gh, git, " in said
    assert ('write "git", or make ' in said) is (name in ("gti", "Git"))
    world.write_shared_module("deploy", "/bin/sh")
    assert plan(world, commands=("deploy",)).enabled == ("deploy",)


@pytest.mark.parametrize(
    "place", ["", "config", "config/agents/new", "config/sockets", "agents/my"]
)
def test_a_workspace_with_airlocks_own_files_is_refused(world: World, place: str) -> None:
    """Or inside of them; the agent's own directory is among them already."""
    path = world.root / place
    path.mkdir(parents=True, exist_ok=True)
    if place == "config/agents/new":
        path.rmdir()
        path = path.parent
    assert f"{path} cannot be a workspace: it " in refuse(world, workspaces=(str(path),))


def test_a_workspace_that_cannot_be_mounted_is_refused(world: World) -> None:
    """One that is not there, and names that docker cannot be told."""
    assert 'none" is no directory; name' in refuse(world, workspaces=(str(world.root / "none"),))
    for name in ("a:b", "a,b", "a\nb", "a\x1bb", "a\udcff"):
        (world.root / "work" / name).mkdir(parents=True)
        said = refuse(world, workspaces=(str(world.root / "work" / name),))
        assert "docker takes no such name" in said
        assert said.isprintable()


def test_files_with_faults_are_refused_as_such(world: World) -> None:
    """The registration, config.toml and modules of the host: no program mends them."""
    world.agents_file.write_text("[x\n")
    with pytest.raises(SetupError, match=r"agents\.toml: not valid TOML"):
        plan(world)
    world.agents_file.write_text("")
    (world.config / "config.toml").write_text("= 1\n")
    with pytest.raises(SetupError, match=r"config\.toml: not valid TOML"):
        plan(world)
    world.write_shared_module("git", "git", "")
    with pytest.raises(SetupError, match=r"modules/git\.toml"):
        plan(world)


def test_a_profile_that_may_hide_a_workspace_is_a_fault(world: World) -> None:
    """Its workspaces could contain the new one, or the programs that are run for it."""
    profile = world.agent / "airlock.toml"
    profile.write_text(f"{profile.read_text()}\n= nonsense\n")
    with pytest.raises(SetupError, match=f"{re.escape(str(profile))}: "):
        plan(world)


def test_an_unusual_form_is_left_to_its_owner(world: World) -> None:
    """With the words to add."""
    (world.config / "config.toml").write_text('[commands]\nenable = [\n  "sh" # one\n  # two\n]\n')
    assert 'add ["git", "ssh"] to it, and try again' in refuse(world, commands=("git", "ssh"))


@pytest.mark.parametrize("command", ["git", "git-remote"])
def test_an_agent_that_reaches_remotes_is_pinned_to_those_of_its_workspaces(
    world: World, command: str
) -> None:
    """By the container's own git, or by the host's in a box."""
    workspace = make_repository(world.workspace)
    plan(world, commands=(command,), workspaces=(workspace,)).apply(ExitStack())
    grant = world.load().generations["new"].agent.profile.git
    assert [place.text for place in grant.push] == ["git@github.com/acme/app"]
    assert (grant.names_refs, judge(world, "refs/heads/agent/x")) == (True, [])
    assert judge(world, "refs/heads/x", "refs/tags/agent/x", "refs/heads/trunk") == [
        "refs",
        "refs",
        "protect",
    ]
    plan(world, "other", commands=("ssh",)).apply(ExitStack())
    other = world.load().generations["other"].agent.profile.git
    assert (other.is_pinned, other.names_refs) == (False, False)


def make_repository(directory: Path) -> str:
    """A repository with a remote whose default branch is trunk; returns its path."""
    head = ("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    for words in (
        ("init", "--quiet"),
        ("remote", "add", "origin", "git@github.com:acme/app.git"),
        head,
    ):
        subprocess.run(["git", "-C", str(directory), *words], check=True)
    return str(directory)


def test_no_other_agent_chooses_the_git_that_reads_the_remotes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the one of the new container's home, by an active virtual environment of its own."""
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    (world.root / "other").mkdir()
    other = make_repository(world.root / "other")
    program = world.workspace / "git"
    program.write_text(f"#!/bin/sh\n: >{world.root}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(world.workspace), prepend=os.pathsep)
    run(world, "agent", "add", "two", "--workspace", other, "--yes")
    profile = (world.config / "agents" / "two" / "airlock.toml").read_text()
    assert '"git@github.com/acme/app"' in profile
    assert not (world.root / "ran").exists()


def judge(world: World, *refs: str) -> list[str]:
    """The rules by which a push of the new agent's is refused."""
    grant = world.load().generations["new"].agent.profile.git
    asked = PushList(updates=tuple(Update("0" * 40, "1" * 40, ref) for ref in refs))
    return [refusal.rule for refusal in judge_push(grant, asked)]


@pytest.mark.parametrize(
    ("refs", "refused"),
    [
        (("refs/heads/**",), [None, "protect"]),
        (("refs/heads/team/*", "refs/heads/trunk"), ["refs", None]),
    ],
)
def test_refs_that_a_person_names_take_the_place_of_the_default(
    world: World, refs: tuple[str, ...], refused: list[str | None]
) -> None:
    """The default branch stays protected, unless it is named itself."""
    workspace = make_repository(world.workspace)
    plan(world, workspaces=(workspace,), refs=refs).apply(ExitStack())
    found = [next(iter(judge(world, f"refs/heads/{name}")), None) for name in ("agent/x", "trunk")]
    assert found == refused


def test_refs_without_a_command_that_heeds_them_are_refused(world: World) -> None:
    """A person would rely on them."""
    said = refuse(world, commands=("ssh",), refs=("refs/heads/x",))
    assert said.startswith("--refs has no effect: none of ssh reaches a remote of git; leave")


def test_a_linked_worktree_brings_the_common_directory_of_its_repository(world: World) -> None:
    """Its git needs it; nothing is added where another workspace contains it already."""
    app, tree = world.root / "app", world.workspace / "tree"
    app.mkdir()
    make_repository(app)
    names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("commit", "-qm", "x", "--allow-empty"), ("worktree", "add", "-q", str(tree))):
        subprocess.run(["git", "-C", str(app), *names, *words], check=True)
    both = plan(world, workspaces=(str(tree), str(app)))
    assert (both.workspaces, both.remarks) == ((str(tree), str(app)), ())
    made = plan(world, commands=("git-remote",), workspaces=(str(tree),))
    assert made.workspaces == (str(tree), f"{app}/.git")
    (remark,) = made.remarks
    assert remark.startswith(f"{tree} is a linked worktree: {app}/.git is a workspace too")
    assert next(made.describe()) == remark
    made.apply(ExitStack())
    profile = world.load().generations["new"].agent.profile
    assert [mount.source for mount in profile.same_path] == [str(tree), f"{app}/.git"]
    assert [place.text for place in profile.git.push] == ["git@github.com/acme/app"]
    # From there it could put another directory in the place of the common one.
    assert "and could put another directory in its place" in refuse(
        world, "main", workspaces=(str(app),)
    )


def test_a_directory_inside_of_an_agents_is_refused(world: World) -> None:
    """The way out is to remove the agent that there is."""
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    inner = world.workspace / "inner"
    inner.mkdir()
    assert refuse(world, workspaces=(str(inner),)).endswith("airlock agent remove my")


def move_repository_into_home(world: World) -> str:
    """As an agent does it in its container: the path is in /proc/self/mountinfo there."""
    make_repository(world.workspace)
    moved = Path(world.locations.containers_dir) / "homes" / "my" / "r" / "project.git"
    moved.parent.mkdir(parents=True)
    (world.workspace / ".git").rename(moved)
    own = moved / "worktrees" / "app"
    own.mkdir(parents=True)
    (own / "HEAD").write_bytes((moved / "HEAD").read_bytes())
    (own / "commondir").write_text("../..\n")
    (own / "gitdir").write_text(f"{world.workspace}/.git\n")
    (world.workspace / ".git").write_text(f"gitdir: {own}\n")
    return str(moved)


@pytest.mark.parametrize("name", ["again", "my"])
def test_a_repository_that_an_agent_has_moved_into_its_home_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It could put a link to anything in its place; registering it anew changes nothing."""
    moved = move_repository_into_home(world)
    if name == "my":
        world.agents_file.write_text("")
    workspaces = (str(world.workspace),)
    said = refuse(world, name, workspaces=workspaces)
    assert f'"{world.workspace}/.git" leads to the repository "{moved}", which cannot be' in said
    assert "an agent may have moved the repository there" in said
    # The other guards, were it found all the same, and the attack without any.
    monkeypatch.setattr(
        new_agent, "find_repository", lambda path, _: find_repository(path, Reserved(()))
    )
    assert f"{moved} cannot be a workspace: it lies in" in refuse(
        world, name, workspaces=workspaces
    )
    monkeypatch.setattr(Reserved, "conflict", lambda *_, **__: None)
    said = refuse(world, name, workspaces=workspaces)
    whose = "the same agent" if name == "my" else "agent my"
    assert f"/homes/my, the home of {whose}, which could replace it" in said
    monkeypatch.setattr(judging, "_list_homes", lambda *_: {})
    assert plan(world, name, workspaces=workspaces).workspaces == (*workspaces, moved)


@pytest.mark.parametrize("refs", [("refs/heads/**",), ("refs/heads/m*", "refs/heads/x")])
def test_main_stays_protected_whatever_the_repository_says(
    world: World, refs: tuple[str, ...]
) -> None:
    """An agent may have written another default branch there; a person's word counts."""
    workspace = make_repository(world.workspace)
    path = "refs/remotes/origin/HEAD"
    (world.workspace / ".git" / path).write_text("ref: refs/remotes/origin/x\n")
    plan(world, workspaces=(workspace,), refs=refs).apply(ExitStack())
    assert judge(world, "refs/heads/main", "refs/heads/master") == ["protect", "protect"]
    plan(world, "more", workspaces=(workspace,), refs=(*refs, "refs/heads/main")).apply(ExitStack())
    grant = world.load().generations["more"].agent.profile.git
    asked = PushList(updates=(Update("0" * 40, "1" * 40, "refs/heads/main"),))
    assert judge_push(grant, asked) == ()


@pytest.mark.parametrize("has_workspace", [True, False])
def test_each_line_that_is_commented_out_can_be_switched_on(
    world: World, has_workspace: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, and with all others: the file is without faults, and says something more."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host build deploy\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    commands = ("git", "git-remote", "git-sign", "ssh", "aws", "docker", "terraform")
    workspaces = (str(world.workspace),) if has_workspace else ()
    plan(world, commands=commands, workspaces=workspaces).apply(ExitStack())
    profile = world.config / "agents" / "new" / "airlock.toml"
    before = profile.read_text()
    lines = before.splitlines()
    found = [n for n, line in enumerate(lines) if re.match(r'\s*# (\[|"|[a-z_]+ = )', line)]
    assert len(found) >= 10
    for chosen in (*([each] for each in found), found):
        changed = [
            line.replace("# ", "", 1) if n in chosen else line for n, line in enumerate(lines)
        ]
        text = "\n".join(changed).replace("/home/me/src/app", str(world.workspace))
        assert tomllib.loads(text) != tomllib.loads(before)
        profile.write_text(text)
        assert set(world.load().generations) == {"my", "new"}
