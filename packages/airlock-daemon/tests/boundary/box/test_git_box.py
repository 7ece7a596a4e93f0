"""The built-in git, which runs in a closed box: what plain git does in the container, it does."""

from collections.abc import Iterator

import pytest

from boxing import needs_bubblewrap, open_world, write_boxes
from running import Answer, Daemon
from talking import ALL, Talk
from worlds import World

pytestmark = needs_bubblewrap

HUMAN = """
[user]
\tname = "Ada \\"the first\\" Lovelace"
\temail = ada@example.com
[init]
\tdefaultBranch = trunk
[push]
\tdefault = simple\\nevil = x
[http "https://example.com"]
\textraHeader = "Authorization: canary-token"
[credential]
\thelper = store
[alias]
\tleak = !cat /etc/hostname
"""

APP = "/workspace/app"


@pytest.fixture
def world() -> Iterator[World]:
    """A human with a configuration, and an agent with two directories."""
    with open_world() as world:
        write_boxes(world)
        (world.root / "home").mkdir()
        (world.root / "home" / ".gitconfig").write_text(HUMAN)
        (world.root / "data").mkdir()
        (world.root / "data").chmod(0o777)
        mounts = f'"/data" = "{world.root}/data", "/workspace" = "{world.workspace}"'
        world.write_profile(f"[workspace]\nmounts = {{ {mounts} }}\n")
        yield world


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """Serving that agent."""
    with start(world) as daemon:
        yield daemon


def start(world: World) -> Daemon:
    """A daemon of that human."""
    home = str(world.root / "home")
    return Daemon(world, environment={"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config"})


def git(daemon: Daemon, *args: str, cwd: str = "/workspace", **more: object) -> str:
    """What git says to that, which must succeed."""
    answer = daemon.ask("git", *args, cwd=cwd, **more)
    assert answer.last.get("result") == {"exit_code": 0}, said(answer)
    return answer.text()


def said(answer: Answer) -> str:
    return f"{answer.text('stderr')}{answer.last}"


def test_paths_are_those_of_the_container(daemon: Daemon) -> None:
    """Those that are given, those that are printed, and those that git writes into its files."""
    git(daemon, "init", "--quiet", "app")
    assert git(daemon, "rev-parse", "--show-toplevel", cwd="/workspace/app") == "/workspace/app\n"
    (daemon.world.workspace / "app" / "file").write_text("text\n")
    git(daemon, "-C", "/workspace/app", "add", "/workspace/app/file")
    git(daemon, "commit", "--quiet", "-m", "first", cwd="/workspace/app")
    git(daemon, "worktree", "add", "--quiet", "/workspace/other", cwd="/workspace/app")
    assert git(daemon, "status", "--porcelain", cwd="/workspace/other") == ""
    link = (daemon.world.workspace / "other" / ".git").read_text()
    assert link == "gitdir: /workspace/app/.git/worktrees/other\n"
    git(daemon, "clone", "--quiet", "/workspace/app", "copy")
    assert (daemon.world.workspace / "copy" / "file").read_text() == "text\n"


def test_the_humans_harmless_settings_hold_and_no_other(daemon: Daemon) -> None:
    """Nor does a value that would be two settings."""
    listed = git(daemon, "var", "GIT_COMMITTER_IDENT")
    assert listed.startswith('Ada "the first" Lovelace <ada@example.com> ')
    git(daemon, "init", "--quiet", "app")
    assert git(daemon, "symbolic-ref", "HEAD", cwd="/workspace/app") == "refs/heads/trunk\n"
    for key in ("http.https://example.com.extraheader", "credential.helper", "alias.leak"):
        assert daemon.ask("git", "config", "--get", key, cwd="/workspace").text() == ""
    assert daemon.ask("git", "config", "--get", "push.default", cwd="/workspace").text() == ""
    assert "push.default is " in daemon.messages()
    assert daemon.records()[-1]["sandbox"] == "bubblewrap"


def write(world: World, path: str, text: str, *, mode: int = 0o644) -> None:
    """Write a file of the workspace, as the container could."""
    file = world.workspace / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


@pytest.fixture
def app(daemon: Daemon) -> Daemon:
    """With a repository /workspace/app that has a commit."""
    git(daemon, "init", "--quiet", "app")
    git(daemon, "commit", "--quiet", "--allow-empty", "-m", "first", cwd=APP)
    return daemon


def test_what_a_repository_has_git_run_runs_in_the_box(app: Daemon) -> None:
    """Aliases, hooks, filters and settings for one command, with the programs of the host."""
    write(app.world, "app/.git/hooks/pre-commit", "#!/bin/sh\nid -un > .hooked\n", mode=0o755)
    write(app.world, "app/.gitattributes", "*.up filter=up\n")
    write(app.world, "app/word.up", "word")
    git(app, "config", "filter.up.clean", "tr a-z A-Z", cwd=APP)
    git(app, "config", "alias.shout", "!echo $PWD; id -un", cwd=APP)
    git(app, "add", ".", cwd=APP)
    git(app, "-c", "user.name=Somebody", "commit", "--quiet", "-m", "second", cwd=APP)
    assert (app.world.workspace / "app" / ".hooked").read_text() == "airlock\n"
    assert git(app, "show", "HEAD:word.up", cwd=APP) == "WORD"
    assert git(app, "shout", cwd=APP) == "/workspace/app\nairlock\n"
    assert git(app, "log", "-1", "--format=%an", cwd=APP) == "Somebody\n"


def test_an_editor_runs_on_the_clients_terminal(app: Daemon) -> None:
    """It is one of the host's programs, which the client's environment chooses."""
    write(app.world, "editor", "#!/bin/sh\nread word < /dev/tty\necho $word > $1\n", mode=0o755)
    tty = {"term": "xterm", "rows": 5, "cols": 7, "stdin": True, "stdout": True, "stderr": True}
    env = {"EDITOR": "/workspace/editor"}
    commit = ("git", "commit")
    with Talk(app, "--allow-empty", ALL, command=commit, tty=tty, cwd=APP, env=env) as talk:
        talk.start()
        talk.type(b"typed\n")
        assert talk.result["exit_code"] == 0
    assert git(app, "log", "-1", "--format=%s", cwd=APP) == "typed\n"


def test_a_message_is_read_from_a_file_that_both_see(app: Daemon) -> None:
    """The container's own /tmp is not there, and git says so; standard input always is."""
    write(app.world, "message", "from a file\n")
    git(app, "commit", "--quiet", "--allow-empty", "-F", "/workspace/message", cwd=APP)
    answer = app.ask("git", "commit", "--allow-empty", "-F", "/tmp/message", cwd=APP)
    assert answer.exit_code == 128
    assert "could not read log file '/tmp/message': No such file" in answer.text("stderr")
    with Talk(app, "-", ALL, command=("git", "commit", "--allow-empty", "-F"), cwd=APP) as talk:
        talk.start()
        talk.type(b"typed\n")
        talk.say("stdin", eof=True)
        assert talk.result["exit_code"] == 0
    assert git(app, "log", "-2", "--format=%s", cwd=APP) == "typed\nfrom a file\n"


def test_git_is_used_from_directories_that_are_not_mounted(app: Daemon) -> None:
    """From / and /tmp, which each side has of its own, -C leads to every mapped directory."""
    for cwd in ("/", "/tmp"):
        assert git(app, "-C", APP, "log", "--format=%s", cwd=cwd) == "first\n"
    git(app, "clone", "--quiet", APP, "/data/copy", cwd="/")
    assert git(app, "-C", "/data/copy", "log", "--format=%s", cwd=APP) == "first\n"
    refused = app.ask("git", "-C", APP, "log", cwd="/root")
    assert refused.error["data"]["rule"] == "unmapped"
    assert git(app, "rev-parse", "--show-toplevel", cwd="/data/copy") == "/data/copy\n"
